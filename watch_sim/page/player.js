// Runs models over a night: a Track for each model, as far ahead as is needed.

import { STAGES, UNKNOWN } from "./catalog.js";
import { loadLitert } from "./litert/ready.js";

/** What a model makes of a night so far, window by window. The bundle's own app code runs it. */
export class Track {
  static async open(night, architecture, precision) {
    const base = `/bundles/${architecture}/`;
    const [{ SleepStager }, litert] = await Promise.all([import(`${base}sleep-stager.js`), loadLitert()]);
    const stager = await SleepStager.create({ litert, base, precision, start: night.start });
    return new Track(night, stager, SleepStager.weigh);
  }

  constructor(night, stager, weigh) {
    Object.assign(this, { night, stager, weigh, windows: [], closed: false }); // windows: as night.open gives them
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
    const probabilities = weights ? this.weigh(p, weights) : p;
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
