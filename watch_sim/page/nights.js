// Nights to play: the service's, by aligned windows, and the user's own, by samples.

import { UNKNOWN } from "./catalog.js";
import { SENSORS } from "./names.js";
import { percent } from "./numbers.js";
import { median } from "./series.js";

const GAPS_S = { heart: 120, movement: 120 }; // a longer gap is shown as not sensed
const MISSING = 0.1; // smallest share of a night without values worth a warning
const SELDOM_S = 30; // between heart rates; beyond this, κ is clearly lower (docs/results.md, by cadence)
const BIN_S = 15;

/**
 * A night has name, subject, part (how the run used it; null: not at all), start (s), stride (s), windows (their
 * number), stages (scored, or null), heart and movement ([t, value] in order of time; movementOf names the unit), absent
 * ({heart, movement}: [from, to] of gaps), clock ({seconds: wall-clock s since 1970 at t=0, zone}, or null) and notes.
 * open(stager) returns an async function of k, to be called in order, that predicts window k: {probabilities, unknown
 * (whether too little was sensed), coverage: {sensor: {share, secondsSince}}}.
 */
export function fromService(night, { seconds, channels }) {
  const stride = seconds.stride, n = night.ends.length;
  const rows = (name) => newest(night, channels.find((channel) => channel.name === name), stride);
  const window = (k) => Object.fromEntries(channels.map(({ name }) => [name, night.channels[name][k]]));
  const entry = ([sensor, { share, seconds_since }]) => [sensor, { share, secondsSince: seconds_since }];
  const coverage = night.coverage.map((sensors) => Object.fromEntries(Object.entries(sensors).map(entry)));
  const never = Object.entries(coverage.at(-1) ?? {}).filter(([, { secondsSince }]) => secondsSince === null);
  return completed({
    ...movement(rows), name: night.id, subject: night.id, part: night.part, start: night.start, stride, windows: n,
    heart: rows("heart_rate"), stages: night.stages.some(Boolean) ? night.stages : null, clock: null,
    notes: night.findings, missing: never.map(([sensor]) => sensor), unknown: night.unknown.filter(Boolean).length,
    open: (stager) => async (k) => {
      const probabilities = await stager.step(window(k));
      return { probabilities, unknown: night.unknown[k], coverage: coverage[k] };
    },
  });
}

/** A night from {sensor: Series}, with times from its start. labels: Map from t to a scored stage's index, or null. */
export function fromSamples({ name, subject, samples, labels = null, clock, notes }, catalog) {
  const stride = catalog.seconds.stride, grace = catalog.grace_seconds; // s by which a bin may end after its window
  const end = Math.max(...Object.values(samples).map(({ t, length }) => t[length - 1]));
  const scored = labels?.size ? Math.max(...labels.keys()) : null; // s, start of the last scored epoch
  const windows = scored === null ? Math.floor((end + grace) / stride) : Math.ceil((scored + stride) / stride);
  if (windows < 1) throw new Error(`ends after ${end.toFixed(0)} s; expected at least ${stride} s`);
  const stageAt = (t) => catalog.stages[labels.get(t)]?.name ?? null;
  const stages = labels && Array.from({ length: windows }, (_, k) => stageAt(k * stride));
  const ignored = outOfRange(samples, catalog.sensors), rows = (sensor) => samples[sensor]?.pairs() ?? [];
  const movement = "activity" in samples ? [rows("activity"), "activity counts"]
    : "motion" in samples ? [changes(samples.motion), "change of acceleration"]
      : [rows("steps"), "steps" in samples ? "steps" : "no movement sensor"];
  const taken = catalog.channels.map((channel) => channel.name);
  const wanted = ["heart_rate", ...(["activity", "motion"].some((sensor) => sensor in samples) ? [] : ["activity"])];
  return completed({
    name, subject, part: null, own: true, start: 0, stride, windows, heart: rows("heart_rate"), movement: movement[0],
    movementOf: movement[1], stages: stages?.some(Boolean) ? stages : null, clock, unknown: 0,
    notes: ignored ? [...notes, `${ignored} values are out of range and ignored.`] : notes,
    missing: wanted.filter((sensor) => !(sensor in samples) && (sensor !== "heart_rate" || taken.includes(sensor))),
    open: (stager) => {
      const cursors = Object.entries(samples).map(([sensor, series]) => ({ sensor, series, at: 0 }));
      const time = ({ series, at }) => (at < series.length ? series.t[at] : Infinity);
      return async (k) => {
        const close = (k + 1) * stride;
        for (;;) {
          const next = cursors.reduce((a, b) => (time(b) < time(a) ? b : a));
          if (time(next) > close + grace) break;
          stager.feed(next.sensor, time(next), next.series.at(next.at++));
        }
        const [{ stage, probabilities, coverage }] = await stager.take(close);
        return { probabilities, unknown: stage === UNKNOWN, coverage };
      };
    },
  });
}

/** A night with its gaps and warnings added. */
function completed({ missing, ...night }) {
  const end = night.start + night.windows * night.stride, absent = {};
  for (const kind of ["heart", "movement"]) absent[kind] = gaps(night[kind], night.start, end, GAPS_S[kind]);
  const every = median(night.heart.slice(1).map(([t], i) => t - night.heart[i][0]));
  const lost = absent.heart.reduce((sum, [from, to]) => sum + to - from, 0) / (end - night.start);
  const notes = [...night.notes];
  if (missing.length) notes.push(`Missing all night: ${missing.map((sensor) => SENSORS[sensor]).join(", ")}.`);
  if (every > SELDOM_S) {
    const often = every < 120 ? `${Math.round(every)} s` : `${Math.round(every / 60)} min`;
    notes.push(`Heart rate comes only every ${often}; stages are less accurate than with one every 5 to 15 s.`);
  } else if (night.heart.length && lost > MISSING) notes.push(`No heart rate for ${percent(lost)} of the night.`);
  return { ...night, absent, notes };
}

/** [from, to] of gaps longer than `least` s. */
function gaps(series, start, end, least) {
  const out = [];
  let last = start;
  for (const [t] of [...series, [end]]) {
    if (t - last > least) out.push([last, Math.min(t, end)]);
    last = Math.max(last, t);
  }
  return out;
}

/** Number of values out of range. */
function outOfRange(samples, sensors) {
  let n = 0;
  for (const [sensor, { v, width, length }] of Object.entries(samples)) {
    const [low, high] = sensors[sensor].range;
    for (let i = 0; i < length; i++) n += v.subarray(width * i, width * (i + 1)).some((x) => !(low <= x && x <= high));
  }
  return n;
}

/** [t, value] of the new values of each window; a bin's t is its end. */
function newest(night, channel, stride) {
  if (!channel) return [];
  const { seconds_per_value: every, missing, value } = channel, n = stride / every, out = [];
  night.channels[channel.name].forEach((values, k) => {
    values.slice(-n).forEach((x, i) => {
      const t = night.ends[k] - stride + (i + (value === "sum" ? 1 : 0)) * every;
      if (x !== missing) out.push([t, x]);
    });
  });
  return out;
}

/** Movement to draw: counts, else the change of acceleration from row to row, else steps. */
function movement(rows) {
  if (rows("activity").length) return { movement: rows("activity"), movementOf: "activity counts" };
  const z = rows("motion_z");
  if (z.length) {
    const change = z.slice(1).map(([t, x], i) => [t, Math.abs(x - z[i][1])]);
    return { movement: change, movementOf: "change of acceleration (z), g" };
  }
  return { movement: rows("steps"), movementOf: rows("steps").length ? "steps" : "no movement sensor" };
}

/** [end of a bin, mean change from sample to sample] of raw motion, in bins of BIN_S. */
function changes({ t, v, length }) {
  const bins = new Map();
  for (let i = 1; i < length; i++) {
    const bin = Math.floor(t[i] / BIN_S), [sum, n] = bins.get(bin) ?? [0, 0];
    bins.set(bin, [sum + Math.abs(v[3 * i + 2] - v[3 * i - 1]), n + 1]);
  }
  return [...bins].map(([bin, [sum, n]]) => [(bin + 1) * BIN_S, Math.max(0, sum / n)]);
}
