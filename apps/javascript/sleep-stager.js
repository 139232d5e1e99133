/**
 * Live sleep stages from heart rate and movement at the wrist, in the browser and in Node, by LiteRT.js.
 *
 *   import { SleepStager } from "sleep-stager";
 *   const stager = await SleepStager.create({ base: "/bundle/", precision: "int8", start: 1767999600 });
 *   stager.feed("heart_rate", 1767999603.2, 61);
 *   for (const { time, stage } of await stager.take(1767999630.1)) console.log(time, stage);
 *
 * It runs any bundle of the format wristsleep-contract/1. See README.md.
 */

import { readContract, RUNTIME, sizeOf, STAGES, UNKNOWN } from "./contract.js";
import { oneOf, StagerError } from "./errors.js";
import { readFrom } from "./files.js";
import { compiled, loadLitert } from "./litert.js";
import { Night } from "./night.js";
import { segments } from "./segments.js";
import { plainSha256, sha256 } from "./sha256.js";

export { loadLitert, segments, StagerError };

/**
 * Takes the samples of one night and returns its stages.
 *
 * Times are in seconds of any one clock: Unix time, or since the start of the recording. Silent or absent
 * sensors, and late or out-of-range samples, give missing values; the night continues.
 */
export class SleepStager {
  #litert;
  #models = {}; // file -> compiled model
  #contract;
  #contractSha256;
  #plan; // of the precision
  #weights = null;
  #night;
  #turn = Promise.resolve(); // of those who run models
  #deleted = false;

  /**
   * base: address of the bundle's folder, in Node also a path; or read: async (file name) => Uint8Array. precision: one
   * of the contract's. start: start of the first window, s. operatingPoint: one of the contract's, to weight the
   * probabilities; null for none. contractSha256: digest of the only contract.json to accept.
   * litert: the module @litertjs/core with its runtime loaded; by default the result of loadLitert(). options: for its
   * loadAndCompile. Rejects with a StagerError if something is missing, altered or not supported.
   */
  static async create({
    base, read = readFrom(base), precision = "int8", start = 0, operatingPoint = null, contractSha256 = null,
    litert = null, options = { accelerator: "wasm" },
  } = {}) {
    const stager = new SleepStager(), bytes = await bytesOf("contract.json", read), digest = await sha256(bytes);
    if (contractSha256 !== null && digest !== String(contractSha256).toLowerCase()) {
      throw new StagerError("altered_contract", `contract.json: SHA-256 ${digest}, expected ${contractSha256}`);
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes); // with a byte order mark
    const contract = (stager.#contract = readContract(text));
    stager.#contractSha256 = digest;
    const plan = oneOf("unknown_precision", "precision", precision, contract.document.precisions);
    if (operatingPoint !== null) {
      const point = oneOf("unknown_operating_point", "operating point", operatingPoint, contract.operatingPoints);
      stager.#weights = point.weights;
    }
    stager.#plan = plan;
    stager.reset(start);
    const calls = [...contract.activity.calls, ...plan.calls], files = {};
    for (const { file, runtimes } of calls) {
      const status = runtimes?.[RUNTIME] ?? "";
      if (status.startsWith("refused")) throw new StagerError("refused_runtime", `${file}: ${RUNTIME} is ${status}`);
    }
    for (const { file, sha256: expected } of calls) {
      files[file] = await bytesOf(file, read);
      const found = await sha256(files[file]); // a damaged file can crash the runtime
      if (found !== expected) {
        throw new StagerError("altered_file", `${file}: SHA-256 ${found}, expected ${expected}, as in contract.json`);
      }
    }
    stager.#litert = litert ?? (await loadLitert());
    stager.#models = await compiled(stager.#litert, files, calls, options);
    if (stager.simulated) console.warn("trained on simulated nights: its stages say nothing about people");
    return stager;
  }

  /** contract.json. */
  get contract() {
    return this.#contract.document;
  }

  /** Digest of contract.json, to pin it. */
  get contractSha256() {
    return this.#contractSha256;
  }

  /** Whether the model was trained on simulated nights: its stages then say nothing about people. */
  get simulated() {
    return this.contract.training_data.simulated;
  }

  /** Start of the night's first window, s. */
  get start() {
    return this.#night.start;
  }

  /** {sensor: {reason: number of samples dropped}}. */
  get dropped() {
    return structuredClone(this.#night.dropped);
  }

  /** Descriptions of what seems wrong with the sensors' units. */
  get findings() {
    return this.#night.findings;
  }

  /** Begin a night at start (s). A running take finishes the night it was called for. */
  reset(start = this.start) {
    this.#night = new Night(this.#contract, this.#plan.states, start);
  }

  /**
   * Take one sample: "heart_rate" (bpm), "motion" ([x, y, z] in g), and, with the time at which their bin ends,
   * "steps" and "activity" (counts). t: s. A sample closes the windows that end before it; later samples for a closed
   * window are dropped. Throws for another sensor, and if t is more than a night after the start.
   */
  feed(sensor, t, value) {
    this.#night.feed(sensor, t, value);
  }

  /**
   * Stages of the closed windows: [{time, stage, probabilities: Float32Array, coverage}], time in s, when its
   * stride begins. now: s, a time up to which all sensors have delivered; without it, the windows that events have
   * closed. The stage is "Unknown" if there are too few data; the probabilities are meaningless then. coverage: {sensor:
   * {share: of the strides of the last ten minutes that have a value; secondsSince: from the newest value to the end of
   * the window, null if there has been none}}. If it rejects, the windows stay for the next take.
   */
  async take(now = null) {
    const night = this.#night;
    if (now !== null) night.closeBy(now);
    const { closed } = night;
    return this.#inTurn(() => this.#take(night, closed));
  }

  /** Epochs of the night's first `closed` windows that were not taken yet. */
  async #take(night, closed) {
    const epochs = [], tracker = night.tracker.copy(); // the night changes only when all is done
    const strides = night.pending.slice(0, Math.max(0, night.pending.length - (night.closed - closed)));
    let { recent, states } = night;
    for (const { time, newest, motion } of strides) {
      const counted = motion ? await this.#count(motion, states.activity) : { states: states.activity };
      const window = {};
      for (const { name } of this.contract.channels) {
        const values = (name === "activity" && counted.activity) || newest[name];
        window[name] = Float32Array.of(...recent[name].subarray(values.length), ...values);
      }
      const tensors = await this.#run(this.#plan.calls, sourcesOf(window), states.step);
      [recent, states] = [window, { activity: counted.states, step: renewed(states.step, tensors) }];
      const probabilities = this.#weigh(tensors[`output:${this.#plan.probabilities}`]);
      const { coverage, unknown } = tracker.update(window);
      const likeliest = STAGES[probabilities.indexOf(Math.max(...probabilities))]?.name ?? UNKNOWN;
      epochs.push({ time, stage: unknown ? UNKNOWN : likeliest, probabilities, coverage });
    }
    night.pending.splice(0, epochs.length);
    Object.assign(night, { recent, states, tracker });
    return epochs;
  }

  /** Activity counts of a stride's motion, and the states after them; one call after the other. */
  async #count(motion, states) {
    const { activity: { calls, hz, call_seconds: seconds }, stride } = this.#contract;
    const size = 3 * hz * (seconds ?? stride), activity = [];
    for (let at = 0; at < motion.length; at += size) {
      const tensors = await this.#run(calls, { "sensor:motion": motion.slice(at, at + size) }, states);
      activity.push(...tensors["channel:activity"]);
      states = renewed(states, tensors);
    }
    return { activity, states };
  }

  /**
   * Run the model on one window, {channel: values}, as in golden.json. Returns its probabilities, without an
   * operating point. Waits for a running take.
   */
  async step(window) {
    const night = this.#night;
    for (const { name, values_per_window: expected } of this.contract.channels) {
      const found = window[name]?.length ?? 0;
      if (found === expected) continue;
      throw new StagerError("wrong_value_count", `channel ${name}: ${found} values, expected ${expected}`);
    }
    const sources = sourcesOf(Object.fromEntries(this.contract.channels.map(({ name }) => [name, window[name]])));
    return this.#inTurn(async () => {
      const tensors = await this.#run(this.#plan.calls, sources, night.states.step);
      night.states = { ...night.states, step: renewed(night.states.step, tensors) };
      return tensors[`output:${this.#plan.probabilities}`];
    });
  }

  /** Run work that uses the models, after all earlier work. */
  #inTurn(work) {
    if (this.#deleted) return Promise.reject(new Error("this stager was deleted"));
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Run calls in order. sources: {source: tensor} of the inputs; returns them together with all outputs. */
  async #run(calls, sources, states) {
    const tensors = { ...sources }, given = {};
    for (const [name, values] of Object.entries(states)) tensors[`state:${name}`] = values;
    for (const call of calls) {
      const inputs = {}, outputs = {};
      try {
        for (const { name, shape, from } of call.inputs) inputs[name] = new this.#litert.Tensor(tensors[from], shape);
        Object.assign(outputs, await this.#models[call.file].run(call.signature, inputs));
        for (const { name, shape, to } of call.outputs) {
          const values = outputs[name]?.toTypedArray().slice();
          if (values?.length !== sizeOf(shape)) {
            throw new Error(`${call.file}: ${values?.length ?? "no"} values of ${name}, expected ${sizeOf(shape)}`);
          }
          tensors[`output:${name}`] = values;
          if (to) given[to] = values;
        }
      } finally {
        for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
      }
    }
    return { ...tensors, ...given };
  }

  #weigh(probabilities) {
    return this.#weights ? SleepStager.weigh(probabilities, this.#weights) : probabilities;
  }

  /** Probabilities (Float32Array) at an operating point: times its weights, divided by their sum. */
  static weigh(probabilities, weights) {
    const weighed = probabilities.map((p, i) => p * Math.fround(weights[i]));
    const sum = weighed.reduce((a, b) => Math.fround(a + b), 0);
    return weighed.map((p) => p / sum);
  }

  /** The whole state as text, for restore. Save after take: epochs that take returned are not in it. */
  save() {
    const content = JSON.stringify({ model: this.#model(), weights: this.#weights ?? [], ...this.#night.saved() });
    return plainSha256(new TextEncoder().encode(content)) + content;
  }

  /**
   * Resume from saved text, as if the stager had never stopped. Throws, and changes nothing, if another model saved
   * it, or one at another operating point. A running take finishes the night it was called for.
   */
  restore(text) {
    try {
      const content = text.slice(64);
      if (plainSha256(new TextEncoder().encode(content)) !== text.slice(0, 64)) throw new Error("damaged");
      const saved = JSON.parse(content);
      if (JSON.stringify(saved.model) !== JSON.stringify(this.#model())) throw new Error("of another model");
      const expected = this.#weights ?? [], { weights = expected } = saved; // earlier states do not have them
      if (JSON.stringify(weights) !== JSON.stringify(expected)) throw new Error("of another operating point");
      const night = new Night(this.#contract, this.#plan.states, saved.start);
      night.restore(saved);
      this.#night = night;
    } catch (error) {
      throw new StagerError("wrong_state", `not a state that this model saved (${error.message})`);
    }
  }

  /** Digests of the model's files, to recognise saved states of other models. */
  #model() {
    return [...this.#contract.activity.calls, ...this.#plan.calls].map((call) => call.sha256);
  }

  /** Epochs as segments of a health store: see segments. */
  segments(epochs, options = {}) {
    return segments(epochs, { seconds: this.#contract.stride, ...options });
  }

  /** Free the models, after a running take. The stager cannot be used afterwards. */
  async delete() {
    if (this.#deleted) return;
    const done = this.#inTurn(() => Object.values(this.#models).forEach((model) => model.delete()));
    this.#deleted = true;
    await done;
  }
}

async function bytesOf(name, read) {
  try {
    return new Uint8Array(await read(name));
  } catch (error) {
    throw error instanceof StagerError ? error : new StagerError("missing_file", `${name}: ${error.message}`);
  }
}

/** States with those that calls renewed. */
function renewed(states, tensors) {
  return Object.fromEntries(Object.keys(states).map((name) => [name, tensors[`state:${name}`]]));
}

function sourcesOf(window) {
  return Object.fromEntries(Object.entries(window).map(([name, x]) => [`channel:${name}`, Float32Array.from(x)]));
}
