// Samples of one sensor, and reading files line by line.

/** Times in s and values, `width` values per time (three for motion); grows as a file is read. */
export class Series {
  constructor(width = 1) {
    Object.assign(this, { width, length: 0, t: new Float64Array(1024), v: new Float64Array(1024 * width) });
  }

  push(t, ...values) {
    if (this.length === this.t.length) {
      for (const name of ["t", "v"]) {
        const longer = new Float64Array(2 * this[name].length);
        longer.set(this[name]);
        this[name] = longer;
      }
    }
    this.t[this.length] = t;
    this.v.set(values, this.width * this.length++);
  }

  /** The sample at i: a number, or a list of its values. */
  at(i) {
    return this.width === 1 ? this.v[i] : Array.from(this.v.subarray(this.width * i, this.width * (i + 1)));
  }

  /** A copy sorted by time, with times changed by a function, and only the samples for which keep(t, i) is true. */
  map(change, keep = () => true) {
    const { t, v, width, length } = this, out = new Series(width);
    const order = Uint32Array.from({ length }, (_, i) => i).filter((i) => keep(t[i], i));
    if (order.some((i, k) => k && t[i] < t[order[k - 1]])) order.sort((a, b) => t[a] - t[b] || a - b);
    const room = order.length || 1;
    Object.assign(out, { length: order.length, t: new Float64Array(room), v: new Float64Array(room * width) });
    order.forEach((i, k) => {
      out.t[k] = change(t[i], i);
      for (let j = 0; j < width; j++) out.v[width * k + j] = v[width * i + j];
    });
    return out;
  }

  /** [[t, value], …] for charts. */
  pairs() {
    return Array.from(this.t.subarray(0, this.length), (t, i) => [t, this.at(i)]);
  }
}

/** Call take(line, number from 1) for every line of a file of any size. */
export async function eachLine(file, take) {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", number = 0;
  for (let done = false; !done;) {
    let value;
    ({ done, value } = await reader.read());
    const lines = (rest + (value ?? "")).split(/\r?\n/);
    rest = done ? "" : lines.pop();
    for (const line of lines) take(line, ++number);
  }
}

/** The median; NaN if there are no values. */
export function median(values) {
  const sorted = Float64Array.from(values).sort(), n = sorted.length;
  return n ? (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2 : NaN;
}

/** A text as a number; NaN if it is not one. */
export function numberOf(text) {
  return text.trim() ? Number(text) : NaN;
}

/** [first, last] of the longest stretch of ascending times without a gap of `gap` s. */
export function longestStretch(times, gap) {
  let best = [times[0], times[0]], first = times[0];
  for (let i = 0; i < times.length; i++) {
    if (i && times[i] - times[i - 1] >= gap) first = times[i];
    if (times[i] - first > best[1] - best[0]) best = [first, times[i]];
  }
  return best;
}
