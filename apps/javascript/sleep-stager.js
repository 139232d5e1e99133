/**
 * Sleep stages from a wrist's heart rate and movement, live, in the browser and in Node, by LiteRT.js.
 *
 *   import { SleepStager } from "sleep-stager";
 *   const stager = await SleepStager.create({ base: "/bundle/", precision: "int8", start: 1767999600 });
 *   stager.feed("heart_rate", 1767999603.2, 61);
 *   for (const { time, stage } of await stager.take(1767999630.1)) console.log(time, stage);
 *
 * It runs any bundle of format wristsleep-contract/1, as its contract.json says. README.md has the rest.
 */

import { readContract, RUNTIME, sizeOf, STAGES, UNKNOWN } from "./contract.js";
import { oneOf, StagerError } from "./errors.js";
import { readFrom } from "./files.js";
import { loadLitert } from "./litert.js";
import { Night } from "./night.js";
import { segments } from "./segments.js";
import { plainSha256, sha256 } from "./sha256.js";

export { loadLitert, segments, StagerError };

/**
 * Takes samples of one night, gives its stages.
 *
 * Times are in seconds of any one clock: Unix time, or since the start of the recording. A sensor that is silent,
 * absent, late or out of range is a missing value, and the night goes on.
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
   * of the contract's. start: s, when the first window begins. operatingPoint: one of the contract's, to weigh the
   * probabilities; null leaves them as they are. contractSha256: digest of contract.json; another contract is refused.
   * litert: the module @litertjs/core, its runtime loaded; by default what loadLitert() gives. options: for its
   * loadAndCompile. Rejects with a StagerError where something is missing, altered or not supported.
   */
  static async create({
    base, read = readFrom(base), precision = "int8", start = 0, operatingPoint = null, contractSha256 = null,
    litert = null, options = { accelerator: "wasm" },
  } = {}) {
    const stager = new SleepStager(), bytes = await bytesOf("contract.json", read), digest = await sha256(bytes);
    if (contractSha256 !== null && digest !== String(contractSha256).toLowerCase()) {
      throw new StagerError("altered_contract", `contract.json: SHA-256 ${digest}, expected ${contractSha256}`);
    }
    const contract = (stager.#contract = readContract(new TextDecoder().decode(bytes)));
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
      const found = await sha256(files[file]); // a damaged file can take the runtime down
      if (found !== expected) {
        throw new StagerError("altered_file", `${file}: SHA-256 ${found}, expected ${expected}, as in contract.json`);
      }
    }
    stager.#litert = litert ?? (await loadLitert());
    for (const [file, content] of Object.entries(files)) {
      stager.#models[file] = await stager.#litert.loadAndCompile(content, options);
    }
    if (stager.simulated) console.warn("trained on simulated nights: its stages say nothing about people");
    return stager;
  }

  /** contract.json. */
  get contract() {
    return this.#contract.document;
  }

  /** Its digest, to pin it by. */
  get contractSha256() {
    return this.#contractSha256;
  }

  /** Whether the model was trained on simulated nights: its stages then say nothing about people. */
  get simulated() {
    return this.contract.training_data.simulated;
  }

  /** When the night's first window begins, s. */
  get start() {
    return this.#night.start;
  }

  /** {sensor: {reason: samples}}: what was fed and not taken. */
  get dropped() {
    return structuredClone(this.#night.dropped);
  }

  /** What seems wrong with a sensor's unit, as sentences. */
  get findings() {
    return this.#night.findings;
  }

  /** Begin a night at start (s). A take under way finishes the night that it was asked of. */
  reset(start = this.start) {
    this.#night = new Night(this.#contract, this.#plan.states, start);
  }

  /**
   * Take one sample: "heart_rate" (bpm), "motion" ([x, y, z] in g), and, with the time at which their bin ends,
   * "steps" and "activity" (counts). t: s. A sample closes the windows that it lies past, and what comes for a closed
   * window is too late. Throws for another sensor and where t is more than a night after the start.
   */
  feed(sensor, t, value) {
    this.#night.feed(sensor, t, value);
  }

  /**
   * Stages of the windows that are full: [{time, stage, probabilities: Float32Array, coverage}], time in s, when its
   * stride begins. now: s, a time up to which every sensor has delivered; without it, the windows that events have
   * closed. The stage is "Unknown" where too little was sensed; the probabilities mean nothing then. coverage: {sensor:
   * {share: of the strides of the last ten minutes, those with a value; secondsSince: from its newest value to the end
   * of the window, null if there has been none}}. Where it rejects, the windows stay for the next take.
   */
  async take(now = null) {
    const night = this.#night;
    if (now !== null) night.closeBy(now);
    const { closed } = night;
    return this.#inTurn(() => this.#take(night, closed));
  }

  /** Those of the night's first `closed` windows that were not taken yet. */
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
   * One window by hand, {channel: values}, as golden.json has them. Gives the model's probabilities, not weighed. It
   * waits for a take under way.
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

  /** Work that runs models, when all that was asked before is done. */
  #inTurn(work) {
    if (this.#deleted) return Promise.reject(new Error("this stager was deleted"));
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Make calls in order. sources: tensors by where an input can come from; gives them with those that calls gave. */
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

  /** All that is under way, as text, for restore. Save after take: what take has given is not in it. */
  save() {
    const content = JSON.stringify({ model: this.#model(), ...this.#night.saved() });
    return plainSha256(new TextEncoder().encode(content)) + content;
  }

  /**
   * Go on as if what saved this text had never stopped. Throws, and changes nothing, where another model saved it. A
   * take under way finishes the night that it was asked of.
   */
  restore(text) {
    try {
      const content = text.slice(64);
      if (plainSha256(new TextEncoder().encode(content)) !== text.slice(0, 64)) throw new Error("damaged");
      const saved = JSON.parse(content);
      if (JSON.stringify(saved.model) !== JSON.stringify(this.#model())) throw new Error("of another model");
      const night = new Night(this.#contract, this.#plan.states, saved.start);
      night.restore(saved);
      this.#night = night;
    } catch (error) {
      throw new StagerError("wrong_state", `not a state that this model saved (${error.message})`);
    }
  }

  /** What a saved state belongs to: the files, by their digests. */
  #model() {
    return [...this.#contract.activity.calls, ...this.#plan.calls].map((call) => call.sha256);
  }

  /** Epochs as segments of a health store: see segments. */
  segments(epochs, options = {}) {
    return segments(epochs, { seconds: this.#contract.stride, ...options });
  }

  /** Give back what the models hold, when a take under way is done. Nothing can be taken afterwards. */
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
