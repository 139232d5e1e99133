// The state of one night: its samples, the strides that they close, and the model's states.

import { sizeOf, SENSORS } from "./contract.js";
import { oneOf, StagerError } from "./errors.js";
import { CoverageTracker, guards, magnitude } from "./sensed.js";

export const REASONS = ["not_a_number", "wrong_unit", "out_of_range", "late", "repeated"]; // why a sample is dropped

/** Takes samples; closes strides, which wait in `pending` for the model. */
export class Night {
  #contract;

  /** start: start of the first window, s. states: of the precision, as the contract has them. */
  constructor(contract, states, start) {
    if (!Number.isFinite(start)) throw new StagerError("not_a_time", `start=${start}: expected a time in seconds`);
    this.#contract = contract;
    this.start = start;
    this.closed = 0; // number of strides closed so far
    this.rows = {}; // channel -> Map of row, counted from the start -> [sum, number] of its samples
    this.recent = {}; // channel -> values of the newest window that the model has taken
    for (const { name, values_per_window, missing } of contract.document.channels) {
      this.rows[name] = new Map();
      this.recent[name] = new Float32Array(values_per_window).fill(missing);
    }
    this.taken = {}; // sensor -> Set of the times of samples in strides that are open
    this.dropped = {};
    for (const sensor of SENSORS) {
      this.taken[sensor] = new Set();
      this.dropped[sensor] = Object.fromEntries(REASONS.map((reason) => [reason, 0]));
    }
    this.guards = guards(contract);
    this.tracker = new CoverageTracker(contract);
    this.samples = []; // motion that was not passed to the activity model yet, [s since the start, x, y, z]
    this.counting = contract.activity.calls.length > 0; // activity comes from motion, until counts are fed
    this.pending = []; // closed strides, not taken yet: {time, newest: {channel: values}, motion: values or null}
    this.states = { activity: initial(contract.activity.states), step: initial(states) }; // of the two plans
  }

  /** Take a sample, or count it as dropped. */
  feed(sensor, t, value) {
    const { stride, document: { sensors } } = this.#contract;
    const entry = oneOf("unknown_sensor", "sensor", sensor, sensors), expected = sensor === "motion" ? 3 : 1;
    const values = typeof value === "number" ? [value] : Array.from(value ?? []);
    if (values.length !== expected) {
      throw new StagerError("wrong_value_count", `${sensor}: ${values.length} values, expected ${expected}`);
    }
    if (Number.isFinite(t)) this.#checkTime("t", t);
    const reason = this.#accept(sensor, entry, t, values);
    if (reason) this.dropped[sensor][reason]++;
    if (Number.isFinite(t)) this.#close(slotOf(t - this.start, stride, this.#contract.document.grace_seconds));
  }

  /** Close the strides that end by now (s). */
  closeBy(now) {
    if (!Number.isFinite(now)) throw new StagerError("not_a_time", `now=${now}: expected a time in seconds`);
    this.#checkTime("now", now);
    this.#close(Math.floor((now - this.start) / this.#contract.stride));
  }

  /** Descriptions of what seems wrong with the sensors' units. */
  get findings() {
    return Object.values(this.guards).map(({ finding }) => finding).filter((finding) => finding);
  }

  #checkTime(name, t) {
    if (t - this.start <= this.#contract.document.longest_seconds) return;
    throw new StagerError(
      "time_beyond_night",
      `${name}=${t} s: more than a night after start=${this.start} s; are these milliseconds? ` +
        "reset(start) begins a new night",
    );
  }

  /** Take a sample, or return the reason why it is dropped. */
  #accept(sensor, { range: [low, high], value, channels: names }, t, values) {
    if (![t, ...values].every(Number.isFinite)) return "not_a_number";
    const { stride, channelsOf, document: { grace_seconds } } = this.#contract, sinceStart = t - this.start;
    const channels = channelsOf[sensor], grace = value === "sum" ? grace_seconds : null;
    const counting = sensor === "motion" && this.counting;
    if (!channels.length && !counting) return null; // the model does not use the sensor
    const inRange = values.every((x) => low <= x && x <= high), guard = this.guards[sensor];
    if (guard && !guard.accept(t, values, inRange)) return "wrong_unit";
    if (!inRange) return "out_of_range";
    if (slotOf(sinceStart, stride, grace) < this.closed) return "late";
    if (this.taken[sensor].has(t)) return "repeated";
    this.taken[sensor].add(t);
    if (sensor === "activity") {
      this.counting = false;
      this.samples = [];
    } else if (counting && !(this.samples.length && sinceStart < this.samples.at(-1)[0])) {
      this.samples.push([sinceStart, ...values]);
    }
    const all = sensor === "motion" ? [...values, magnitude(values)] : values;
    for (const { name, seconds_per_value } of channels) {
      const rows = this.rows[name], row = slotOf(sinceStart, seconds_per_value, grace);
      const [sum, number] = rows.get(row) ?? [0, 0];
      rows.set(row, [sum + all[names.indexOf(name)], number + 1]);
    }
    return null;
  }

  /** Close strides until `last` are closed. */
  #close(last) {
    const { stride, document: { channels } } = this.#contract;
    if (last <= this.closed) return;
    for (const times of Object.values(this.taken)) {
      for (const t of times) if (t - this.start < last * stride) times.delete(t);
    }
    for (; this.closed < last; this.closed++) {
      const newest = {};
      for (const { name, seconds_per_value, missing, value } of channels) {
        const n = stride / seconds_per_value, rows = this.rows[name];
        newest[name] = Array.from({ length: n }, (_, i) => {
          const [sum, number] = rows.get(this.closed * n + i) ?? [missing, 1];
          rows.delete(this.closed * n + i);
          return Math.fround(value === "sum" ? sum : sum / number);
        });
      }
      const motion = this.samples.length ? this.#grid() : null;
      this.pending.push({ time: this.start + this.closed * stride, newest, motion });
    }
  }

  /** Acceleration of the closing stride on the regular grid of the activity model: x, y, z of each point. */
  #grid() {
    const { stride, activity: { hz, missing, grace_seconds, gap_seconds, bin_seconds } } = this.#contract;
    const samples = this.samples, points = hz * stride, motion = new Float32Array(3 * points).fill(missing);
    let after = 0; // the first sample at or after the point
    for (let i = 0; i <= points; i++) {
      const point = this.closed * points + i, t = point / hz;
      while (after < samples.length && samples[after][0] < t) after++;
      if (i === points || after === 0) continue;
      const before = samples[after - 1], next = samples[after];
      const due = grace_seconds + bin_seconds * (Math.floor(point / (hz * bin_seconds)) + 1);
      if (Math.min(next ? next[0] : Infinity, due) - before[0] > gap_seconds) continue;
      const held = !next || next[0] > due, along = held ? 0 : (t - before[0]) / (next[0] - before[0]);
      for (let k = 0; k < 3; k++) {
        motion[3 * i + k] = held ? before[k + 1] : before[k + 1] + (next[k + 1] - before[k + 1]) * along;
      }
    }
    samples.splice(0, after - 1); // the next stride needs the last sample before it, and all later ones
    return motion;
  }

  /** The whole state, as plain JSON values. */
  saved() {
    const { start, closed, counting, samples, dropped, guards, tracker } = this;
    const lists = (entries) => Object.fromEntries(Object.entries(entries).map(([name, list]) => [name, [...list]]));
    const pending = this.pending.map(({ time, newest, motion }) => ({ time, newest, motion: motion && [...motion] }));
    const [rows, taken, recent] = [this.rows, this.taken, this.recent].map(lists);
    const states = { activity: lists(this.states.activity), step: lists(this.states.step) };
    return { start, closed, counting, samples, dropped, guards, tracker, pending, rows, taken, recent, states };
  }

  /** Resume from what `saved` returned. Throws if it is damaged; the night must not be used then. */
  restore(saved) {
    const { closed, counting, samples, dropped, pending } = saved;
    const whole = Number.isInteger(closed) && typeof counting === "boolean" && [samples, pending].every(Array.isArray);
    if (!whole || !SENSORS.every((sensor) => REASONS.every((reason) => Number.isInteger(dropped[sensor][reason])))) {
      throw new Error("incomplete");
    }
    for (const name in this.rows) this.rows[name] = new Map(saved.rows[name]);
    for (const sensor of SENSORS) this.taken[sensor] = new Set(saved.taken[sensor]);
    for (const sensor in this.guards) Object.assign(this.guards[sensor], saved.guards[sensor]);
    Object.assign(this, { closed, counting, samples, dropped, tracker: this.tracker.copy(saved.tracker) });
    this.recent = typed(saved.recent, this.recent);
    for (const plan in this.states) this.states[plan] = typed(saved.states[plan], this.states[plan]);
    this.pending = pending.map(({ time, newest, motion }) => ({
      time, newest, motion: motion && Float32Array.from(motion),
    }));
  }
}

/** Arrays of the initial values of states. */
function initial(states) {
  return Object.fromEntries(Object.entries(states).map(([name, { shape, initial }]) => (
    [name, new Float32Array(sizeOf(shape)).fill(initial)]
  )));
}

/** Saved lists of numbers as arrays, each as long as the one of its name in `like`. */
function typed(saved, like) {
  return Object.fromEntries(Object.entries(like).map(([name, { length }]) => {
    if (saved[name].length !== length) throw new Error(`${name}: ${saved[name].length} values, not ${length}`);
    return [name, Float32Array.from(saved[name])];
  }));
}

/**
 * Which stretch of `seconds`, from the start, t (s since the start) lies in. A bin lies, its end taken `grace` s early,
 * in (k, k + 1]; a sample, which has no grace (null), in [k, k + 1). Corrected for rounding of the division.
 */
function slotOf(t, seconds, grace) {
  let slot;
  if (grace !== null) {
    t -= grace;
    slot = Math.ceil(t / seconds) - 1;
    if (slot * seconds >= t) slot--;
    return (slot + 1) * seconds < t ? slot + 1 : slot;
  }
  slot = Math.floor(t / seconds);
  if (slot * seconds > t) slot--;
  return (slot + 1) * seconds <= t ? slot + 1 : slot;
}
