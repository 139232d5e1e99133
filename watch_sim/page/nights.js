// Nights to play, window by window: those of the service, as its aligner gives them, and one's own, sample by sample.

import { parse } from "./csv.js";

const GRACE = 0.1; // s: a bin that ends this little after a window still belongs to it

/**
 * A night has name, part (what the run used it for, null: nothing), start (s), stride (s), windows (their number),
 * stages (scored, or null), heart and movement ([t, value] in order of time, movementOf says what they are), clock and
 * notes; and open(stager), which gives an async function of k: the probabilities of window k, asked for in order.
 */
export function fromService(night, { seconds, channels }) {
  const stride = seconds.stride, n = night.ends.length;
  const rows = (name) => newest(night, channels.find((channel) => channel.name === name), stride);
  const window = (k) => Object.fromEntries(channels.map(({ name }) => [name, night.channels[name][k]]));
  return {
    ...moved(rows), name: night.id, subject: night.id, part: night.part, start: night.start, stride, windows: n,
    heart: rows("heart_rate"), stages: night.stages.some(Boolean) ? night.stages : null, clock: null,
    notes: night.findings, open: (stager) => (k) => stager.step(window(k)),
  };
}

export function fromCsv(text, name, { seconds }) {
  const { events, end, clock, ignored } = parse(text), stride = seconds.stride;
  const windows = Math.floor((end + GRACE) / stride);
  if (!windows) throw new Error(`the file ends after ${end} s; a window of ${stride} s is the least`);
  const of = (sensor) => events.filter((event) => event[0] === sensor).map(([, t, value]) => [t, value]);
  return {
    name, subject: name.replace(/\.[^.]*$/, ""), part: null, start: 0, stride, windows, heart: of("heart_rate"),
    movement: of("activity"), movementOf: "activity counts", stages: null, clock,
    notes: ignored ? [`${ignored} values out of range (heart rate 20 to 250, activity from 0) are not counted.`] : [],
    open: (stager) => {
      let next = 0;
      return async (k) => {
        const close = (k + 1) * stride;
        for (; next < events.length && events[next][1] <= close + GRACE; next++) stager.feed(...events[next]);
        return (await stager.take(close))[0].probabilities;
      };
    },
  };
}

/** [t, value] of the values that are new in each window; a bin's t is its end. */
function newest(night, channel, stride) {
  if (!channel) return [];
  const { seconds_per_value: every, missing, value } = channel, n = stride / every, out = [];
  night.channels[channel.name].forEach((values, k) => {
    values.slice(-n).forEach((x, i) => {
      const t = night.ends[k] - stride + (i + (value === "sum" ? 1 : 0)) * every;
      if (x !== missing) out.push([t, x]);
    });
  });
  return out;
}

/** What tells movement best: counts, or else how much acceleration changes from row to row, or steps. */
function moved(rows) {
  if (rows("activity").length) return { movement: rows("activity"), movementOf: "activity counts" };
  const z = rows("motion_z");
  if (z.length) {
    const change = z.slice(1).map(([t, x], i) => [t, Math.abs(x - z[i][1])]);
    return { movement: change, movementOf: "change of acceleration (z), g" };
  }
  return { movement: rows("steps"), movementOf: rows("steps").length ? "steps" : "no sensor of movement" };
}
