// Reads the user's own night: CSV with a line of column names, time and heart_rate, activity or both.

const COLUMNS = ["time", "heart_rate", "activity"];
const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?\s*(Z|[+-]\d\d:?\d\d)?$/;

/**
 * The text of a file, within the limits of the catalog -> {events: [[sensor, t, value]], end, clock, ignored}.
 *
 * t: s from the first line. end: s of the last. clock: {local: "2026-01-31T23:10:00", offset: "+01:00" or ""} of the
 * first line where times are ISO 8601, else null. ignored: values out of range, which count as not sensed.
 * Throws an Error that names line and field.
 */
export function parse(text, { sensors, longest_night_seconds: longest }) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const names = lines[0].split(",").map((name) => unquoted(name).toLowerCase());
  checkNames(names);
  const night = { events: [], end: 0, clock: null, ignored: 0 };
  let first = null, last = -Infinity, iso = null;
  for (let i = 1; i < lines.length; i++) {
    if (!lines[i].trim()) continue;
    const line = i + 1, fields = lines[i].split(",").map(unquoted);
    if (fields.length !== names.length) {
      throw new Error(`line ${line}: ${fields.length} fields, but the first line names ${names.length}`);
    }
    const row = Object.fromEntries(names.map((name, k) => [name, fields[k]]));
    const time = timeOf(row.time, line);
    if (iso !== null && iso !== Boolean(time.clock)) {
      throw new Error(`line ${line}, time: “${row.time}”; seconds and ISO 8601 are mixed`);
    }
    if (first === null) {
      [first, iso, night.clock] = [time.clock || time.t > longest ? time.t : 0, Boolean(time.clock), time.clock];
    }
    const t = time.t - first;
    if (t < last) throw new Error(`line ${line}, time: “${row.time}” is earlier than the line before`);
    if (t < 0) throw new Error(`line ${line}, time: “${row.time}” is before the start of the night, 0`);
    if (t > longest) {
      throw new Error(`line ${line}, time: “${row.time}” is more than ${longest / 3600} hours after the first`);
    }
    last = night.end = t;
    for (const sensor of COLUMNS.slice(1)) {
      if (!row[sensor]) continue; // not sensed
      const value = numberOf(row[sensor], line, sensor);
      const [low, high] = sensors[sensor].range;
      if (low <= value && value <= high) night.events.push([sensor, t, value]);
      else night.ignored++;
    }
  }
  if (!night.events.length) throw new Error("the file holds no value of heart_rate or activity");
  return night;
}

function checkNames(names) {
  for (const name of names) {
    if (!COLUMNS.includes(name)) {
      throw new Error(`line 1: column “${name.slice(0, 40)}” is unknown; expected ${COLUMNS.join(", ")}`);
    }
  }
  if (new Set(names).size < names.length) throw new Error("line 1: a column is named twice");
  if (!names.includes("time") || names.length < 2) {
    throw new Error(`line 1: ${names.includes("time") ? "heart_rate or activity" : "time"} is missing`);
  }
}

function unquoted(field) {
  return field.trim().replace(/^"(.*)"$/, "$1").trim();
}

function numberOf(text, line, field) {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  if (!Number.isFinite(value)) throw new Error(`line ${line}, ${field}: “${text.slice(0, 40)}” is not a number`);
  return value;
}

/** {t in s, clock: null or the local clock of an ISO 8601 time}. */
function timeOf(text, line) {
  const parts = ISO.exec(text);
  if (!parts) {
    if (/^\d+-|^\d+:/.test(text) || !text) {
      throw new Error(`line ${line}, time: “${text.slice(0, 40)}” is neither seconds nor like 2026-01-31T23:10:00`);
    }
    return { t: numberOf(text, line, "time"), clock: null };
  }
  const [, year, month, day, hour, minute, second = "0", zone = ""] = parts;
  const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.replace("Z", "+00:00");
  const local = Date.UTC(year, month - 1, day, hour, minute) / 1000;
  const date = new Date(local * 1000).toISOString().slice(0, 16);
  if (date !== `${year}-${month}-${day}T${hour}:${minute}` || Number(second) >= 60) {
    throw new Error(`line ${line}, time: “${text}” is not a date and time of the calendar`);
  }
  const ahead = offset ? Number(`${offset[0]}1`) * (3600 * offset.slice(1, 3) + 60 * offset.slice(4)) : 0;
  const seconds = String(Math.floor(Number(second))).padStart(2, "0");
  return { t: local + Number(second) - ahead, clock: { local: `${date}:${seconds}`, offset } };
}
