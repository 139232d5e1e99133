// Reads files in the published sleep-accel layout: <id>_heartrate.txt, _acceleration.txt, _counts.txt, _steps.txt and
// _labeled_sleep.txt; each line has a time in s from the start of the night, and values.

import { eachLine, median, numberOf, Series } from "./series.js";

const FILE = /^(.+)_(heartrate|acceleration|counts|steps|labeled_sleep)\.txt$/;
const SENSORS = { heartrate: "heart_rate", acceleration: "motion", counts: "activity", steps: "steps" };
const COUNT_S = 15, STEPS_S = 600, NEAR = 0.1; // s per count; longest bin of steps; tolerance as a share of COUNT_S
const STAGE_OF_CODE = { 0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4 }; // code of a label: index of the stage

/** {subject, kind} of a file in this layout, else null. */
export function published(name) {
  const parts = FILE.exec(name);
  return parts && { subject: parts[1], kind: parts[2] };
}

/** Files of one subject -> {samples: {sensor: Series}, labels: Map from t to the index of a stage or null, notes}. */
export async function readPublished(files, longest) {
  const samples = {}, notes = [];
  let labels = null;
  for (const file of files) {
    const { kind } = published(file.name), width = kind === "acceleration" ? 3 : 1, series = new Series(width);
    let wrong = 0, lines = 0;
    await eachLine(file, (line) => {
      if (!line.trim()) return;
      lines++;
      const [t, ...values] = line.trim().split(/\s*,\s*|\s+/).map(numberOf);
      if (values.length === width && [t, ...values].every(Number.isFinite)) series.push(t, ...values);
      else wrong++;
    });
    if (!series.length || wrong > lines / 2) {
      const expected = `of a time and ${width} value${width > 1 ? "s" : ""}`;
      throw new Error(`${file.name}: ${lines ? "expected lines" : "empty; expected lines"} ${expected}`);
    }
    if (wrong) notes.push(`${file.name}: left out ${wrong} unreadable lines.`);
    const within = (t) => t >= 0 && t <= longest;
    if (kind === "labeled_sleep") {
      labels = new Map(series.map((t) => t, within).pairs().map(([t, code]) => [t, STAGE_OF_CODE[code] ?? null]));
    } else {
      const available = availableAt(kind, series.map((t) => t), file.name).map((t) => t, within);
      if (available.length) samples[SENSORS[kind]] = available;
    }
  }
  if (!Object.keys(samples).length) {
    throw new Error(`${files[0].name}: no sensor values within a night; drop its sensor files too`);
  }
  return { samples, labels, notes };
}

/** Samples at the time when they become available; for a bin, its end. */
function availableAt(kind, series, name) {
  const { t, length } = series, step = (i) => t[i + 1] - t[i];
  if (kind === "steps") return series.map((time, i) => Math.min(time + STEPS_S, i + 1 < length ? t[i + 1] : Infinity));
  if (kind !== "counts") return series;
  const spacing = length > 1 ? median(Float64Array.from({ length: length - 1 }, (_, i) => step(i))) : COUNT_S;
  if (Math.abs(spacing - COUNT_S) > NEAR * COUNT_S) {
    throw new Error(`${name}: a count every ${spacing} s, expected one every ${COUNT_S} s`);
  }
  let bins = 0; // counts cover exactly 15 s, although their written times are stretched; jumps are missing counts
  return series.map((_, i) => t[0] + COUNT_S * (bins += i ? Math.max(Math.round(step(i - 1) / spacing), 1) : 1));
}
