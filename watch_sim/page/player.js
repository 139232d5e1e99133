// Runs models over a night: a Track for each model, as far ahead as is needed.

import { SleepStager } from "/sleep-stager/sleep-stager.js";
import { STAGES, UNKNOWN } from "./catalog.js";
import { loadLitert } from "./litert/ready.js";

/** What a model makes of a night so far, window by window. The library that apps use runs it. */
export class Track {
  /** windows: of the whole night, where they are predicted already. */
  static async open(night, architecture, precision, windows = []) {
    const base = `/bundles/${architecture}/`, litert = await loadLitert();
    return new Track(night, await SleepStager.create({ litert, base, precision, start: night.start }), windows);
  }

  constructor(night, stager, windows = []) {
    Object.assign(this, { night, stager, windows: [...windows], closed: false }); // windows: as night.open gives them
    this.predict = night.open(stager);
    this.busy = Promise.resolve();
  }

  /**
   * {stage, probabilities, coverage} of window k, weighed by an operating point unless weights is null. Where the stage
   * is unknown there are no probabilities (null).
   */
  epoch(k, weights) {
    const { probabilities: p, unknown, coverage } = this.windows[k];
    if (unknown) return { stage: UNKNOWN, probabilities: null, coverage };
    const probabilities = weights ? SleepStager.weigh(p, weights) : p;
    return { stage: STAGES[probabilities.indexOf(Math.max(...probabilities))], probabilities, coverage };
  }

  /** Run on until `n` windows are predicted, or until the time `until` (of performance.now). One call at a time. */
  upTo(n, until = Infinity) {
    const run = async () => {
      while (!this.closed && this.windows.length < Math.min(n, this.night.windows) && performance.now() < until) {
        this.windows.push(await this.predict(this.windows.length));
      }
    };
    const done = this.busy.then(run);
    this.busy = done.catch(() => {});
    return done;
  }

  /** Predict the whole night; the page stays responsive meanwhile. */
  async finish() {
    while (!this.closed && this.windows.length < this.night.windows) {
      await this.upTo(Infinity, performance.now() + 30);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** Free the model once the window under way is done. */
  close() {
    this.closed = true;
    this.busy.then(() => this.stager.delete());
  }
}
