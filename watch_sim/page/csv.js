// Reads CSV files from any app, like `python -m pipeline import csv`: the first line names the columns.

import { eachLine, median, Series } from "./series.js";

const NAMES = { // meaning: column names in lower case, without units and punctuation
  time: ["time", "timestamp", "t", "datetime", "unix", "unixtime", "unixtimestamp", "date", "secondselapsed", "elapsed",
    "elapsedtime", "seconds", "startdate"],
  heart_rate: ["heartrate", "bpm", "hr", "pulse", "heartratebpm", "heartratevalue"],
  x: ["x", "accx", "accelx", "accelerationx", "accelerometerx", "ax", "motionx", "xaxis"],
  y: ["y", "accy", "accely", "accelerationy", "accelerometery", "ay", "motiony", "yaxis"],
  z: ["z", "accz", "accelz", "accelerationz", "accelerometerz", "az", "motionz", "zaxis"],
  activity: ["activity", "activitycount", "activitycounts", "counts", "count"],
  steps: ["steps", "stepcount", "step"],
};
const SENSORS = { heart_rate: ["heart_rate"], motion: ["x", "y", "z"], activity: ["activity"], steps: ["steps"] };
const EXPECTED = "expected column names such as time,heart_rate,x,y,z,activity,steps";
const TIMES = "expected Unix seconds or milliseconds, seconds from the start, or a time like 2026-01-31T23:10:00";
const UNIX = [[1e17, 1e9], [1e14, 1e6], [1e11, 1e3], [1e8, 1]]; // least value, units per second
const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?\s*(Z|[+-]\d\d:?\d\d)?)?$/;
const HINTS = [ // of a time that is none
  [/^\d\d?:\d\d(:\d\d([.,]\d+)?)?( ?[ap]m)?$/i,
    "; the date is missing: write 2026-01-31T22:15:00, from midnight on with the next day’s date"],
  [/^\d\d?([./-])\d\d?\1(\d{4}|\d\d)\b/, "; write the year first: 2026-01-31T22:15:00"],
];
const ABSENT = /^(nan|na|null|none)?$/i; // a missing value
const COUNT_S = 15, TOLERANCE_S = 1.5; // of activity counts
const UNITS = [["g", 1], ["m/s²", 9.80665], ["1/64 g", 64], ["milli-g", 1000]]; // unit, units per g

/**
 * A file -> {name, kind, samples: {sensor: Series}, offsets: [[t, s ahead of UTC]], notes}.
 *
 * kind: "unix" (times are Unix s), "local" (wall-clock s since 1970) or "start" (s from any start). offsets: the UTC
 * offsets written with the times, where they change. gravity: expected [low, high] of the median magnitude of
 * acceleration in g. Throws an Error that names line and field.
 */
export async function readCsv(file, gravity) {
  const samples = {}, offsets = [], unreadable = { n: 0, first: null };
  let columns = null, separator = ",", numeric = null, lines = 0;
  const text = (fields, meaning) => unquoted(fields[columns.found[meaning]] ?? "");
  const number = (field) => Number(separator === ";" ? field.replace(",", ".") : field);
  const leaveOut = (what) => {
    unreadable.n++;
    unreadable.first ??= what;
  };
  await eachLine(file, (line, i) => {
    if (!columns) {
      if (!line.trim()) return;
      separator = [";", "\t", ","].reduce((a, b) => (line.split(b).length > line.split(a).length ? b : a));
      columns = columnsOf(line.replace(/^\uFEFF/, "").split(separator).map(unquoted));
      return;
    }
    if (!line.trim()) return;
    lines++;
    const fields = line.split(separator), written = text(fields, "time");
    const time = timeOf(written, number);
    if (!time) {
      const hint = HINTS.find(([form]) => form.test(written))?.[1] ?? "";
      return leaveOut(`line ${i}, time: “${written.slice(0, 40)}”; ${TIMES}${hint}`);
    }
    numeric ??= !time.iso;
    if (numeric === time.iso) {
      throw new Error(`line ${i}, time: “${written.slice(0, 40)}”; the file mixes numbers and dates`);
    }
    if (time.offset !== undefined && time.offset !== offsets.at(-1)?.[1]) offsets.push([time.t, time.offset]);
    for (const [sensor, meanings] of Object.entries(SENSORS)) {
      if (!meanings.every((meaning) => meaning in columns.found)) continue;
      const texts = meanings.map((meaning) => text(fields, meaning));
      if (texts.some((value) => ABSENT.test(value))) continue; // not sensed
      const values = texts.map(number);
      if (values.every(Number.isFinite)) (samples[sensor] ??= new Series(values.length)).push(time.t, ...values);
      else leaveOut(`line ${i}, ${sensor}: “${texts.join(" ").slice(0, 40)}” is not a number`);
    }
  });
  if (!columns) throw new Error(`the file is empty; ${EXPECTED}`);
  if (unreadable.n > lines / 2) throw new Error(unreadable.first);
  if (!Object.keys(samples).length) throw new Error(unreadable.first ?? "no value below the column names");
  const notes = columns.ignored.length ? [`Ignored columns: ${columns.ignored.join(", ")}.`] : [];
  if (unreadable.n) notes.push(`Left out ${unreadable.n} unreadable values; the first is in ${unreadable.first}.`);
  const longest = Object.values(samples).reduce((a, b) => (a.length >= b.length ? a : b));
  const middle = Math.abs(longest.t[longest.length >> 1]);
  const scale = numeric ? UNIX.find(([least]) => middle >= least)?.[1] : 1;
  const kind = numeric ? (scale ? "unix" : "start") : offsets.length ? "unix" : "local";
  let repeated = 0;
  for (const sensor in samples) {
    const all = samples[sensor].map((t) => t / (scale ?? 1));
    samples[sensor] = all.map((t) => t, (t, i) => !(i && t === all.t[i - 1] && `${all.at(i)}` === `${all.at(i - 1)}`));
    repeated += all.length - samples[sensor].length;
  }
  if (repeated) notes.push(`Left out ${repeated} repeated values.`);
  if (samples.motion) inG(samples, gravity, notes);
  if (samples.activity) countsOf15s(samples, notes);
  return { name: file.name, kind, samples, offsets, notes };
}

/** {found: {meaning: index of its column}, ignored: names}. */
function columnsOf(names) {
  const plain = names.map((name) => name.toLowerCase().replace(/[([].*?[)\]]/g, "").replace(/[^a-z0-9]/g, ""));
  const found = {};
  for (const [meaning, spellings] of Object.entries(NAMES)) {
    const spelling = spellings.find((name) => plain.includes(name));
    if (spelling) found[meaning] = plain.indexOf(spelling);
  }
  const usable = Object.values(SENSORS).filter((meanings) => meanings.every((meaning) => meaning in found)).flat();
  if (!("time" in found) || !usable.length) {
    const lacking = "time" in found ? "sensor" : "time";
    throw new Error(`line 1: no ${lacking} column among “${names.join(", ").slice(0, 80)}”; ${EXPECTED}`);
  }
  const used = ["time", ...usable].map((meaning) => found[meaning]);
  return { found, ignored: names.filter((name, i) => name && !used.includes(i)) };
}

function unquoted(field) {
  const text = field.trim();
  return text[0] === '"' ? text.replace(/^"(.*)"$/, "$1").trim() : text;
}

/** {t in s, or the number as written; iso; offset in s if one is written}; null if the text is not a time. */
function timeOf(text, number) {
  const parts = ISO.exec(text);
  if (!parts) {
    const t = text ? number(text) : NaN;
    return Number.isFinite(t) ? { t, iso: false } : null;
  }
  const [, year, month, day, hour = "0", minute = "0", second = "0", zone] = parts;
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute));
  if (date.getUTCDate() !== Number(day) || hour > 23 || minute > 59 || second >= 60) return null; // not a calendar date
  const local = date.getTime() / 1000 + Number(second);
  if (!zone) return { t: local, iso: true };
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)$/.exec(zone) ?? [null, "+", 0, 0];
  const offset = (sign === "-" ? -1 : 1) * (3600 * hours + 60 * minutes);
  return { t: local - offset, iso: true, offset };
}

/** Convert acceleration to g, with the unit inferred from gravity; without gravity it is left out. */
function inG(samples, [low, high], notes) {
  const { motion } = samples, magnitude = (_, i) => Math.hypot(...motion.v.subarray(3 * i, 3 * i + 3));
  const middle = median(Float64Array.from({ length: motion.length }, magnitude));
  const unit = UNITS.find(([, perG]) => low <= middle / perG && middle / perG <= high);
  if (unit) {
    if (unit[1] !== 1) notes.push(`Acceleration is in ${unit[0]}.`);
    for (let i = 0; i < 3 * motion.length; i++) motion.v[i] /= unit[1];
    return;
  }
  const why = middle < low ? "gravity seems to have been removed" : "unknown unit";
  const found = `acceleration has a median magnitude of ${middle.toPrecision(3)}, expected about 1 g (${why})`;
  dropSensor(samples, "motion", found, notes);
}

/** Leave out activity counts that do not cover 15 s each. */
function countsOf15s(samples, notes) {
  const { t, length } = samples.activity, every = median(t.subarray(1, length).map((end, i) => end - t[i]));
  if (length < 2 || Math.abs(every - COUNT_S) <= TOLERANCE_S) return;
  const found = `activity counts come every ${Number(every.toPrecision(3))} s, expected every ${COUNT_S} s`;
  dropSensor(samples, "activity", found, notes);
}

/** Leave out a sensor because of what was found; an Error if no other is left. */
function dropSensor(samples, sensor, found, notes) {
  delete samples[sensor];
  if (!Object.keys(samples).length) throw new Error(found);
  notes.push(`Left out: ${found}.`);
}
