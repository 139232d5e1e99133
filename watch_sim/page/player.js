// Runs models over a night, as far ahead as needed, with a Track for each model.

import { SleepStager } from "/sleep-stager/sleep-stager.js";
import { STAGES, UNKNOWN } from "./catalog.js";
import { loadLitert } from "./litert/ready.js";

/** A model's predictions for a night so far, computed by the same library that apps use. */
export class Track {
  /** windows: predictions for the whole night, if there are any already. */
  static async open(night, architecture, precision, windows = []) {
    const base = `/bundles/${architecture}/`, litert = await loadLitert();
    return new Track(night, await SleepStager.create({ litert, base, precision, start: night.start }), windows);
  }

  constructor(night, stager, windows = []) {
    Object.assign(this, { night, stager, windows: [...windows], closed: false }); // windows: as predicted by night.open
    this.predict = night.open(stager);
    this.busy = Promise.resolve();
  }

  /**
   * {stage, probabilities, coverage} of window k, weighted by an operating point unless weights is null. If the stage
   * is unknown, probabilities is null.
   */
  epoch(k, weights) {
    const { probabilities: p, unknown, coverage } = this.windows[k];
    if (unknown) return { stage: UNKNOWN, probabilities: null, coverage };
    const probabilities = weights ? SleepStager.weigh(p, weights) : p;
    return { stage: STAGES[probabilities.indexOf(Math.max(...probabilities))], probabilities, coverage };
  }

  /** Predict until there are `n` windows, or until the time `until` (of performance.now). One call at a time. */
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

  /** Free the model once the current window is done. */
  close() {
    this.closed = true;
    this.busy.then(() => this.stager.delete());
  }
}
