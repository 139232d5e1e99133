// Runs models over a night: LiteRT.js loaded once, a Track for each model, as far ahead as it is asked for.

import * as litert from "./litert/litert.js";

const WASM = new URL("./litert/litert_wasm_compat_internal.js", import.meta.url).href;
let loaded = null;

function load() {
  globalThis.Module = { // what the runtime tells of itself is no error
    printErr: (words) => (/^(INFO|WARNING)/.test(words) ? console.debug(words) : console.error(words)),
  };
  return litert.loadLiteRt(WASM).catch((error) => {
    loaded = null; // so that it is tried again
    throw error;
  });
}

/** A model's answers to a night, so far: probabilities, window by window. The bundle's own app code runs it. */
export class Track {
  static async open(night, architecture, precision) {
    loaded ??= load();
    const base = `/bundles/${architecture}/`;
    const [{ SleepStager }] = await Promise.all([import(`${base}sleep-stager.js`), loaded]);
    const stager = await SleepStager.create({ litert, base, precision, start: night.start });
    return new Track(night, stager);
  }

  constructor(night, stager) {
    Object.assign(this, { night, stager, epochs: [], closed: false });
    this.window = night.open(stager);
    this.busy = Promise.resolve();
  }

  /** Work on until `n` windows are known, or until the time `until` (of performance.now). One call after the other. */
  upTo(n, until = Infinity) {
    const go = async () => {
      while (!this.closed && this.epochs.length < Math.min(n, this.night.windows) && performance.now() < until) {
        this.epochs.push(await this.window(this.epochs.length));
      }
    };
    const gone = this.busy.then(go);
    this.busy = gone.catch(() => {});
    return gone;
  }

  /** Know the whole night; the page stays alive meanwhile. */
  async finish() {
    while (!this.closed && this.epochs.length < this.night.windows) {
      await this.upTo(Infinity, performance.now() + 30);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** Give back what the model holds, when it is done with what it is at. */
  close() {
    this.closed = true;
    this.busy.then(() => this.stager.delete());
  }
}
