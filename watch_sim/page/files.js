// The user's own nights, from the kinds of files that `python -m watch_sim predict` takes.

import { readCsv } from "./csv.js";
import { fromSamples } from "./nights.js";
import { clockText } from "./numbers.js";
import { published, readPublished } from "./published.js";
import { longestStretch } from "./series.js";

const MOST_BYTES = 1e9;
const GAP_S = 7200, HALF_DAY_S = 43_200, DAY_S = 86_400, EVENING_S = 64_800; // EVENING_S: 18:00
const LEAST_S = 1800; // shortest of several nights
const TABLE = /\.(csv|tsv|txt)$/i;
const EXPORTS = [ // pattern in an export's name or its first and last bytes, description, name for the import command
  [/apple_health_export|<HealthData|^export\.(zip|xml)$/i, "an Apple Health export", "apple-health"],
  [/Takeout|Fitbit|^(heart_rate|steps|sleep)-\d{4}-\d\d-\d\d.*\.json$/i, "a Fitbit export", "fitbit"],
  [/^.{8}\.FIT|\.fit\b/i, "a Garmin file", "garmin"],
];

/** The nights in files that belong together. Throws an Error with a one-sentence message. */
export async function readNights(files, catalog) {
  for (const file of files) await refuseExport(file);
  const usable = files.filter(({ name }) => !name.startsWith("."));
  if (!usable.length) throw new Error("no file to read");
  const subjects = Map.groupBy(usable.filter(({ name }) => published(name)), ({ name }) => published(name).subject);
  const out = [];
  for (const [subject, own] of subjects) {
    const night = await readPublished(own, catalog.longest_night_seconds);
    out.push(named(subject, () => fromSamples({ name: subject, subject, clock: null, ...night }, catalog)));
  }
  const tables = [];
  for (const file of usable.filter(({ name }) => !published(name))) {
    tables.push(await namedAsync(file.name, () => readCsv(file, catalog.gravity)));
  }
  for (const table of tables.filter(({ kind }) => kind === "start")) {
    out.push(named(table.name, () => fromStart(table, catalog)));
  }
  const dated = tables.filter(({ kind }) => kind !== "start");
  return dated.length ? [...out, ...named(dated[0].name, () => dateNights(dated, catalog))] : out;
}

/** Throws if a file is an export that only the import command can read. */
async function refuseExport(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name}: larger than ${MOST_BYTES / 1e9} GB`);
  const head = await file.slice(0, 4096).text(), tail = /^PK/.test(head) ? await file.slice(-65_536).text() : "";
  const text = /^PK|^<|^.{8}\.FIT/s.test(head) ? head + tail : "", table = TABLE.test(file.name);
  const found = EXPORTS.find(([mark]) => mark.test(text) || (!table && mark.test(file.name)));
  const [what, source] = found?.slice(1) ?? ["a ZIP file", "SOURCE"];
  if (!found && !/^PK/.test(head)) return;
  throw new Error(
    `${file.name} is ${what}, which this page cannot read: run “python -m pipeline import ${source} ${file.name} ` +
      `NIGHTS${source === "fitbit" ? " --zone Europe/Berlin" : ""}” and serve with “--dataset_dir NIGHTS”.`,
  );
}

function named(name, work) {
  try {
    return work();
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}

const namedAsync = (name, work) => work().catch((error) => {
  throw new Error(`${name}: ${error.message}`);
});

const stem = (name) => name.replace(/\.[^.]*$/, "");

/** The night in a file whose times count from its start, or from the device's boot. */
function fromStart({ name, samples, notes }, catalog) {
  const times = timesOf(samples), longest = catalog.longest_night_seconds, span = times.at(-1) - times[0];
  const whole = { name, subject: stem(name), samples, clock: null, notes };
  if (times[0] >= 0 && times.at(-1) <= longest) return fromSamples(whole, catalog);
  if (span / 1000 > longest) throw new Error(`times span ${Math.round(span / DAY_S)} days; expected one night`);
  const perSecond = span > longest ? 1000 : 1; // in s the night would last days
  const [first, last] = longestStretch(times.map((t) => t / perSecond), GAP_S);
  const told = perSecond > 1 ? [...notes, "Times are taken as milliseconds from the start."] : notes;
  return fromSamples({ ...whole, samples: cutTo(samples, (t) => t / perSecond, first, last), notes: told }, catalog);
}

/** The nights of files with dates, laid together as one wearer's. */
function dateNights(tables, catalog) {
  const samples = {}, notes = tables.flatMap((table) => table.notes);
  if (new Set(tables.map(({ kind }) => kind)).size > 1) {
    throw new Error("some files have Unix times or offsets, others local times; drop files of one kind together");
  }
  for (const table of tables) {
    for (const [sensor, series] of Object.entries(table.samples)) {
      const all = samples[sensor];
      if (all) for (let i = 0; i < series.length; i++) all.push(series.t[i], ...[series.at(i)].flat());
      else samples[sensor] = series;
    }
  }
  const times = timesOf(samples), local = wallClock(tables[0].kind, tables.flatMap(({ offsets }) => offsets));
  const single = times.at(-1) - times[0] <= DAY_S;
  const groups = single ? [times] : [...Map.groupBy(times, (t) => evening(local(t).seconds)).entries()]
    .filter(([day]) => day !== null).map(([, group]) => group);
  const nights = [];
  for (const group of groups) {
    const [first, last] = longestStretch(group, GAP_S);
    if (!single && last - first < LEAST_S) continue;
    const wall = local(first), date = new Date((wall.seconds - HALF_DAY_S) * 1000).toISOString().slice(0, 10);
    const name = single ? tables[0].name : `${date}, ${tables[0].name}`, cut = cutTo(samples, (t) => t, first, last);
    const subject = single ? stem(name) : `${stem(tables[0].name)}.${date}`;
    nights.push(fromSamples({ name, subject, samples: cut, clock: wall, notes }, catalog));
  }
  if (!nights.length) throw new Error("no night between 18:00 and 12:00 local time");
  return nights;
}

/** Sorted times of all samples except steps, whose bins are long. */
function timesOf(samples) {
  const of = Object.entries(samples).filter(([sensor]) => sensor !== "steps" || Object.keys(samples).length === 1);
  const all = new Float64Array(of.reduce((n, [, { length }]) => n + length, 0));
  let at = 0;
  for (const [, { t, length }] of of) {
    all.set(t.subarray(0, length), at);
    at += length;
  }
  return all.sort();
}

function cutTo(samples, change, first, last) {
  const out = {};
  for (const [sensor, series] of Object.entries(samples)) {
    const cut = series.map((t) => change(t) - first, (t) => change(t) >= first && change(t) <= last);
    if (cut.length) out[sensor] = cut;
  }
  return out;
}

/** A function of t that returns {seconds: wall-clock s since 1970, zone: an offset, a zone's name, or ""}. */
function wallClock(kind, offsets) {
  if (kind === "local") return (t) => ({ seconds: t, zone: "" });
  if (offsets.length) {
    return (t) => {
      const [, offset] = offsets.findLast(([since]) => since <= t) ?? offsets[0];
      return { seconds: t + offset, zone: `${offset < 0 ? "-" : "+"}${clockText(Math.abs(offset)).padStart(5, "0")}` };
    };
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // of this computer
  let hour = null, minutes = 0;
  return (t) => {
    if (Math.floor(t / 900) !== hour) [hour, minutes] = [Math.floor(t / 900), new Date(t * 1000).getTimezoneOffset()];
    return { seconds: t - 60 * minutes, zone };
  };
}

/** Days from 1970 to the evening that a wall-clock time belongs to; null between 12:00 and 18:00. */
function evening(seconds) {
  const since = seconds - EVENING_S;
  return ((since % DAY_S) + DAY_S) % DAY_S <= EVENING_S ? Math.floor(since / DAY_S) : null;
}
