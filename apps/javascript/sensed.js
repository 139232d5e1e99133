// Checks the units of samples, and computes the coverage of windows.

const UNITS = { heart_rate: "bpm", motion: "g" }; // of the sensors whose unit can be checked
const HINTS = {
  heart_rate: "is it beats per second (multiply by 60), or milliseconds from beat to beat (60000 / value)?",
  motion: "is it in milli-g (divide by 1000), or raw numbers of the sensor?",
};

export const magnitude = ([x, y, z]) => Math.sqrt(x * x + y * y + z * z);

/** {sensor: InputGuard} of the sensors whose unit can be checked. */
export function guards(contract) {
  return Object.fromEntries(Object.keys(UNITS).map((sensor) => [sensor, new InputGuard(contract, sensor)]));
}

/** Checks, on a sensor's first minute of samples, that they are in the expected unit. */
class InputGuard {
  #rule; // input_guard of the contract
  #range; // of the sensor's values

  constructor({ document }, sensor) {
    this.#rule = document.input_guard;
    this.#range = document.sensors[sensor].range;
    this.sensor = sensor;
    this.first = null; // s, time of the first sample
    this.seen = 0; // samples
    this.outside = 0; // of them, out of range
    this.magnitudes = []; // g, of motion in range
    this.decided = false;
    this.refused = false;
    this.finding = "";
  }

  /** Whether a sample is accepted. */
  accept(t, values, inRange) {
    if (this.decided) return !this.refused;
    const motion = this.sensor === "motion";
    this.first = this.first === null ? t : Math.min(this.first, t);
    const enough = !motion || Math.max(this.outside, this.seen - this.outside) >= this.#rule.least_samples;
    if (t >= this.first + this.#rule.first_seconds && enough) {
      this.#decide();
      return !this.refused;
    }
    this.seen++;
    if (!inRange) this.outside++;
    else if (motion) this.magnitudes.push(magnitude(values));
    return true;
  }

  #decide() {
    const { sensor, seen, outside, magnitudes } = this;
    const { gravity_g: [low, high], least_samples, standard_gravity } = this.#rule;
    this.decided = true;
    if (2 * outside > seen) {
      this.finding = `${sensor}: ${outside} of the ${seen} samples of its first minute lie outside ` +
        `${this.#range.join(" to ")} ${UNITS[sensor]}; ${HINTS[sensor]}`;
    }
    if (magnitudes.length < least_samples) return;
    const sorted = Float64Array.from(magnitudes).sort(), n = sorted.length;
    const median = (sorted[Math.floor((n - 1) / 2)] + sorted[Math.floor(n / 2)]) / 2;
    this.magnitudes = [];
    this.refused = !(low <= median && median <= high);
    if (!this.refused) return;
    const g = median / standard_gravity;
    let hint = "it is in another unit";
    if (median < low) hint = "gravity seems to have been removed: feed acceleration with gravity";
    if (low <= g && g <= high) hint = `it seems to be in m/s²: divide by ${standard_gravity}`;
    this.finding = `motion: median magnitude of acceleration ${Number(median.toPrecision(3))}, expected about 1 g; ` +
      `${hint}; its samples are not used`;
  }
}

/** Computes the coverage of each window, and whether there are too few data to predict a stage. */
export class CoverageTracker {
  #contract;
  recent = {}; // sensor -> whether each of the newest strides has a value
  since = {}; // sensor -> s, from the newest value to the end of the window; null where there has been none
  still = null; // s since the last stride with movement; null where there has been none
  elapsed = 0; // s of the night

  constructor(contract) {
    this.#contract = contract;
    for (const [sensor, channels] of Object.entries(contract.channelsOf)) {
      if (channels.length) [this.recent[sensor], this.since[sensor]] = [[], null];
    }
  }

  /** Another tracker that goes on from here, or from what one was saved as. */
  copy({ recent, since, still, elapsed } = this) {
    const recents = Object.fromEntries(Object.keys(this.recent).map((sensor) => [sensor, [...recent[sensor]]]));
    return Object.assign(new CoverageTracker(this.#contract), { recent: recents, since: { ...since }, still, elapsed });
  }

  /** {coverage: {sensor: {share, secondsSince}}, unknown: whether its stage is} of the next window. */
  update(window) {
    const { stride, channelsOf, document: { unknown } } = this.#contract;
    const coverage = {}, most = Math.max(1, Math.floor(unknown.coverage_seconds / stride));
    let moved = false;
    this.elapsed += stride;
    for (const [sensor, recent] of Object.entries(this.recent)) {
      let age = null;
      for (const { name, seconds_per_value, missing, value } of channelsOf[sensor]) {
        const newest = window[name].slice(-stride / seconds_per_value).reverse();
        const i = newest.findIndex((x) => x !== missing);
        if (i >= 0) age = Math.min(age ?? Infinity, i * seconds_per_value);
        moved ||= value === "sum" && newest.some((x) => x > 0);
      }
      recent.push(age !== null);
      if (recent.length > most) recent.shift();
      const before = this.since[sensor];
      this.since[sensor] = age ?? (before === null ? null : before + stride);
      const share = recent.filter((sensed) => sensed).length / recent.length;
      coverage[sensor] = { share, secondsSince: this.since[sensor] };
    }
    if (this.recent.motion && !this.recent.activity) moved ||= this.recent.motion.at(-1);
    if (moved) this.still = 0;
    else if (this.still !== null) this.still += stride;
    return { coverage, unknown: this.#unknown(unknown) };
  }

  #unknown(rule) {
    const { heart_rate: heart = null, motion = null, activity = null } = this.since;
    if (heart !== null && heart < rule.absent_seconds) return false;
    const movement = Math.min(motion ?? Infinity, activity ?? Infinity);
    const still = this.still ?? (heart === null ? Infinity : this.elapsed);
    const offWrist = heart === null ? rule.off_wrist_blind_seconds : rule.off_wrist_seconds;
    return movement >= rule.absent_seconds || still >= offWrist;
  }
}
