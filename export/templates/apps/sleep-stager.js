/**
 * Sleep stages from a wrist's heart rate and movement, live, in the browser or any JavaScript with LiteRT.js.
 *
 *   import * as litert from "@litertjs/core";
 *   import {SleepStager} from "./sleep-stager.js";
 *   await litert.loadLiteRt("/litert/");
 *   const stager = await SleepStager.create({litert, base: "/bundle/", precision: "int8", start: 1767999600});
 *   stager.feed("heart_rate", 1767999603.2, 61);
 *   for (const {time, stage} of await stager.take(1767999630.1)) console.log(time, stage);
 *
 * Written for one bundle: the constants are those of its contract.json. README.md of the bundle has the rest.
 */

// constants of the contract: begin
const CONTRACT = {};
// constants of the contract: end

const NAMES = {  // value -> its name on the platform
  healthkit: {2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"},  // HKCategoryValueSleepAnalysis
  health_connect: {1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"},  // SleepSessionRecord.STAGE_TYPE_
};
const {seconds: {stride: STRIDE}, grace_seconds: GRACE, sensors: SENSORS, activity: ACTIVITY} = CONTRACT;

/**
 * Takes samples of one night in time order, gives its stages.
 *
 * Times are in seconds of any one clock: Unix time, or since the start of the recording. Nothing is missing but as the
 * contract says: a sensor that is silent, absent, late or out of range is a missing value, and the night goes on.
 */
export class SleepStager {
  static CONTRACT = CONTRACT;

  #models = {};  // file -> compiled model
  #plan;
  #weights = null;
  #taking = Promise.resolve();

  /**
   * litert: the @litertjs/core module after loadLiteRt(). base: address of the bundle's folder; or read: async (file
   * name) => Uint8Array. precision: one of CONTRACT.precisions. start: s, when the first window begins.
   * operatingPoint: one of CONTRACT.operatingPoints, to weigh the probabilities; null leaves them as they are.
   * options: for litert.loadAndCompile. Throws where a file is missing or is not the one that the contract describes.
   */
  static async create({litert, base, read, precision = "int8", start = 0, operatingPoint = null,
                       options = {accelerator: "wasm"}}) {
    const stager = new SleepStager();
    stager.#plan = oneOf("precision", precision, CONTRACT.precisions);
    if (operatingPoint !== null) {
      stager.#weights = oneOf("operating point", operatingPoint, CONTRACT.operatingPoints).weights;
    }
    stager.litert = litert;
    for (const call of [...ACTIVITY.calls, ...stager.#plan.calls]) {
      const bytes = await (read ? read(call.file) : fetched(base, call.file));
      await checkDigest(call, bytes);
      stager.#models[call.file] = await litert.loadAndCompile(bytes, options);
    }
    stager.reset(start);
    return stager;
  }

  /** Before a night that begins at start (s). */
  reset(start = this.start) {
    this.start = start;
    this.closed = 0;  // windows closed so far
    this.rows = {};  // channel -> Map of row, counted from the start -> [sum, number] of its samples
    this.recent = {};  // channel -> values of the newest window
    for (const {name, values_per_window, missing} of CONTRACT.channels) {
      this.rows[name] = new Map();
      this.recent[name] = new Float32Array(values_per_window).fill(missing);
    }
    this.samples = [];  // motion that the activity call has still to see, [t, x, y, z]
    this.counting = ACTIVITY.calls.length > 0;  // activity comes from motion, until counts are fed
    this.pending = [];  // strides closed and not yet taken: {time, newest: {channel: values}, motion: values or null}
    this.states = {};
    for (const [name, {shape, initial}] of Object.entries({...ACTIVITY.states, ...this.#plan.states})) {
      this.states[name] = Float32Array.from({length: size(shape)}, (_, i) => initial[i % initial.length]);
    }
  }

  /**
   * Take one sample: "heart_rate" (bpm), "motion" ([x, y, z] in g), and, with the time at which their bin ends,
   * "steps" and "activity" (counts). t: s. Feed all sensors in the order of time: an event closes the windows that it
   * lies past, and what comes for a closed window is too late. Throws where t is more than a night after the start.
   */
  feed(sensor, t, value) {
    const {range: [low, high], channels} = oneOf("sensor", sensor, SENSORS);
    if (!Number.isFinite(t)) return;
    this.#checkTime(t);
    const values = typeof value === "number" ? [value] : Array.from(value);
    if (values.length !== (sensor === "motion" ? 3 : 1)) throw new Error(`${sensor}: ${values.length} values`);
    if (values.every((x) => low <= x && x <= high)) {
      if (sensor === "motion") {
        const last = this.samples.length ? this.samples[this.samples.length - 1][0] : -Infinity;
        if (this.counting && t >= this.start + this.closed * STRIDE && t >= last) this.samples.push([t, ...values]);
        const [x, y, z] = values;
        values.push(Math.sqrt(x * x + y * y + z * z));
      } else if (sensor === "activity") {
        this.counting = false;
        this.samples = [];
      }
      channels.forEach((name, i) => this.#add(name, t - this.start, values[i]));
    }
    this.#close(Math.ceil((t - GRACE - this.start) / STRIDE) - 1);
  }

  /** Add a value at t (s since the start) to its row. */
  #add(name, t, value) {
    const channel = CONTRACT.channels.find((channel) => channel.name === name);
    if (!channel) return;  // the model does without
    const seconds = channel.seconds_per_value;
    const row = channel.value === "sum" ? Math.ceil((t - GRACE) / seconds) - 1 : Math.floor(t / seconds);
    if (row < this.closed * (STRIDE / seconds)) return;  // too late
    const [sum, number] = this.rows[name].get(row) ?? [0, 0];
    this.rows[name].set(row, [sum + value, number + 1]);
  }

  /** Close windows until `last` of them are closed. */
  #close(last) {
    for (; this.closed < last; this.closed++) {
      const newest = {};
      for (const {name, seconds_per_value, missing, value} of CONTRACT.channels) {
        const n = STRIDE / seconds_per_value, rows = this.rows[name];
        newest[name] = Array.from({length: n}, (_, i) => {
          const [sum, number] = rows.get(this.closed * n + i) ?? [missing, 1];
          rows.delete(this.closed * n + i);
          return Math.fround(value === "sum" ? sum : sum / number);
        });
      }
      const motion = this.samples.length ? this.#grid() : null;
      this.pending.push({time: this.start + this.closed * STRIDE, newest, motion});
    }
  }

  /** Acceleration of the stride that closes, on the even grid that the activity call wants: x, y, z of each point. */
  #grid() {
    const {hz, missing, grace_seconds, gap_seconds, bin_seconds} = ACTIVITY;
    const samples = this.samples, points = hz * STRIDE, motion = new Float32Array(3 * points).fill(missing);
    let after = 0;  // the first sample at or after the point
    for (let i = 0; i <= points; i++) {
      const point = this.closed * points + i, t = this.start + point / hz;
      while (after < samples.length && samples[after][0] < t) after++;
      if (i === points || after === 0) continue;
      const before = samples[after - 1], next = samples[after];
      const due = this.start + grace_seconds + bin_seconds * (Math.floor(point / (hz * bin_seconds)) + 1);
      if (Math.min(next ? next[0] : Infinity, due) - before[0] > gap_seconds) continue;
      const held = !next || next[0] > due, along = held ? 0 : (t - before[0]) / (next[0] - before[0]);
      for (let k = 0; k < 3; k++) {
        motion[3 * i + k] = held ? before[k + 1] : before[k + 1] + (next[k + 1] - before[k + 1]) * along;
      }
    }
    samples.splice(0, after - 1);  // the next stride needs the last sample before it, and those after
    return motion;
  }

  /**
   * Stages of the windows that are full: [{time (s, when its stride begins), stage, probabilities: Float32Array}].
   * now: s, a time up to which every sensor has told what it has; without it, the windows that events have closed.
   */
  take(now) {
    this.#taking = this.#taking.catch(() => {}).then(() => this.#take(now));  // one after the other
    return this.#taking;
  }

  async #take(now) {
    if (now !== undefined) {
      this.#checkTime(now);
      this.#close(Math.floor((now - this.start) / STRIDE));
    }
    const epochs = [];
    while (this.pending.length) {
      const stride = this.pending[0], {time, newest, motion} = stride;
      const made = motion ? await this.#run(ACTIVITY.calls, {"sensor:motion": motion}) : {};
      if (motion) newest.activity = made["channel:activity"];
      const window = {};
      for (const [name, values] of Object.entries(this.recent)) {
        window[name] = Float32Array.of(...values.subarray(newest[name].length), ...newest[name]);
      }
      const known = await this.#run(this.#plan.calls, channelsOf(window));
      if (this.pending[0] !== stride) break;  // reset or restored meanwhile: another night
      this.pending.shift();
      this.recent = window;
      this.#keep(made);
      this.#keep(known);
      const probabilities = this.#weigh(known[`output:${this.#plan.probabilities}`]);
      const stage = CONTRACT.stages[probabilities.indexOf(Math.max(...probabilities))].name;
      epochs.push({time, stage, probabilities});
    }
    return epochs;
  }

  /** One window by hand, {channel: values}, as golden.json has them. Gives the probabilities as the model says them. */
  async step(window) {
    const known = await this.#run(this.#plan.calls, channelsOf(window));
    this.#keep(known);
    return known[`output:${this.#plan.probabilities}`];
  }

  /** Make calls in order. known: tensors by where an input can come from; gives them with those that the calls made. */
  async #run(calls, known) {
    known = {...known};
    const made = {};
    for (const call of calls) {
      const inputs = {}, outputs = {};
      try {
        for (const {name, shape, from} of call.inputs) {
          const values = from.startsWith("state:") ? this.states[from.slice(6)] : known[from];
          if (values?.length !== size(shape)) throw new Error(`${from}: ${values?.length} values, not ${size(shape)}`);
          inputs[name] = new this.litert.Tensor(values, shape);
        }
        Object.assign(outputs, await this.#models[call.file].run(call.signature, inputs));
        for (const {name, to} of call.outputs) {
          known[`output:${name}`] = outputs[name].toTypedArray();
          if (to) made[to] = known[`output:${name}`];
        }
      } finally {
        for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
      }
    }
    return {...known, ...made};
  }

  /** Keep the states that calls made. */
  #keep(made) {
    for (const name in this.states) this.states[name] = made[`state:${name}`] ?? this.states[name];
  }

  #weigh(probabilities) {
    if (!this.#weights) return probabilities;
    const weighed = probabilities.map((p, i) => p * Math.fround(this.#weights[i]));
    const sum = weighed.reduce((a, b) => Math.fround(a + b), 0);
    return weighed.map((p) => p / sum);
  }

  #checkTime(t) {
    if (!(t - this.start <= CONTRACT.longest_seconds)) {
      throw new Error(`t=${t} s: more than a night after start=${this.start} s; reset(start) begins a new one`);
    }
  }

  /** All that is under way, as text, for restore. Epochs that take() has given are not in it. */
  save() {
    const {start, closed, counting, samples} = this;
    const rows = Object.fromEntries(Object.entries(this.rows).map(([name, rows]) => [name, [...rows]]));
    const pending = this.pending.map((each) => ({
      time: each.time, newest: plain(each.newest), motion: each.motion && Array.from(each.motion),
    }));
    const [recent, states] = [plain(this.recent), plain(this.states)];
    return JSON.stringify({model: this.#model(), start, closed, counting, samples, rows, recent, pending, states});
  }

  /** Go on as if what saved this text had never stopped. Throws, and changes nothing, where another model saved it. */
  restore(text) {
    let saved, states, recent, rows;
    try {
      saved = JSON.parse(text);
      if (JSON.stringify(saved.model) !== JSON.stringify(this.#model())) throw new Error("of another model");
      states = typed(saved.states, this.states);
      recent = typed(saved.recent, this.recent);
      rows = Object.fromEntries(Object.keys(this.rows).map((name) => [name, new Map(saved.rows[name])]));
      const {start, closed, counting, samples, pending} = saved;
      if (![start, closed].every(Number.isFinite) || typeof counting !== "boolean") throw new Error("incomplete");
      if (![samples, pending].every(Array.isArray)) throw new Error("incomplete");
      pending.forEach((each) => each.motion &&= Float32Array.from(each.motion));
      Object.assign(this, {start, closed, counting, samples, pending, rows, recent, states});
    } catch (error) {
      throw new Error(`not a state that this model saved (${error.message})`);
    }
  }

  /** What a saved state belongs to: the files, by their digests. */
  #model() {
    return [...ACTIVITY.calls, ...this.#plan.calls].map((call) => call.sha256);
  }

  /** Give back what the models hold. */
  delete() {
    Object.values(this.#models).forEach((model) => model.delete());
  }

  /**
   * Epochs as segments of a health store: [{start, end, stage, value}], runs of equal value merged, none overlapping.
   *
   * platform: "healthkit" or "health_connect"; stage and value are its. start and end are ISO 8601 with the offset that
   * the zone (IANA name or "+02:00") has then. origin: Unix time of t=0, where times count from the recording's start.
   */
  static segments(epochs, {zone = Intl.DateTimeFormat().resolvedOptions().timeZone, platform = "healthkit",
                           origin = 0} = {}) {
    const names = oneOf("platform", platform, NAMES);
    const values = Object.fromEntries(CONTRACT.stages.map((stage) => [stage.name, stage[platform]]));
    const ms = (t) => Math.floor((origin + t) * 1000 + 0.5);
    const runs = [];
    for (const {time, stage} of [...epochs].sort((a, b) => a.time - b.time)) {
      const last = runs[runs.length - 1];
      const start = Math.max(ms(time), last ? last.end : -Infinity), end = ms(time + STRIDE);
      if (start >= end) continue;  // told before
      if (last && last.end === start && last.value === values[stage]) last.end = end;
      else runs.push({start, end, stage: names[values[stage]], value: values[stage]});
    }
    return runs.map((run) => ({...run, start: isoTime(run.start, zone), end: isoTime(run.end, zone)}));
  }
}

function oneOf(what, key, known) {
  if (!Object.hasOwn(known, key)) throw new Error(`${what} ${key}: one of ${Object.keys(known).join(", ")} is wanted`);
  return known[key];
}

function size(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

function channelsOf(window) {
  return Object.fromEntries(CONTRACT.channels.map(({name}) => [`channel:${name}`, Float32Array.from(window[name])]));
}

function plain(arrays) {
  return Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, Array.from(values)]));
}

/** Saved lists of numbers as arrays, each as long as the one of its name in `like`. */
function typed(saved, like) {
  return Object.fromEntries(Object.entries(like).map(([name, {length}]) => {
    if (saved[name].length !== length) throw new Error(`${name}: ${saved[name].length} values, not ${length}`);
    return [name, Float32Array.from(saved[name])];
  }));
}

async function fetched(base, file) {
  const response = await fetch(new URL(file, new URL(base, globalThis.location?.href)));
  if (!response.ok) throw new Error(`${file}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** A damaged file can take the runtime down. Browsers give no digests to pages that are not served by https. */
async function checkDigest(call, bytes) {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const text = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (text !== call.sha256) throw new Error(`${call.file}: not the file that the contract describes`);
}

/** An instant, in Unix ms, as ISO 8601 with the offset of a zone. */
function isoTime(ms, zone) {
  const named = () => new Intl.DateTimeFormat("en-US", {timeZone: zone, timeZoneName: "longOffset"})
    .formatToParts(ms).find((part) => part.type === "timeZoneName").value.slice(3);  // "GMT+02:00"; "GMT" for 0
  const offset = (/^[+-]\d\d:\d\d$/.test(zone) ? zone : named()) || "+00:00";
  const minutes = Number(`${offset[0]}1`) * (60 * Number(offset.slice(1, 3)) + Number(offset.slice(4)));
  return new Date(ms + 60000 * minutes).toISOString().replace(/(\.000)?Z$/, "") + offset;
}
