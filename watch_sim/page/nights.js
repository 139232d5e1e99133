// Nights to play, window by window: those of the service, as its aligner gives them, and the user's, sample by sample.

import { UNKNOWN } from "./catalog.js";
import { parse } from "./csv.js";

const SENSORS = { heart_rate: "heart rate", motion: "raw motion", steps: "steps", activity: "activity" };

/**
 * A night has name, part (what the run used it for, null: nothing), start (s), stride (s), windows (their number),
 * stages (scored, or null), heart and movement ([t, value] in order of time, movementOf names them), clock and
 * notes; and open(stager), which gives an async function of k, asked for in order: window k as {probabilities,
 * unknown (too little was sensed to give a stage), coverage: {sensor: {share, secondsSince (null: never)}}}.
 */
export function fromService(night, { seconds, channels }) {
  const stride = seconds.stride, n = night.ends.length;
  const rows = (name) => newest(night, channels.find((channel) => channel.name === name), stride);
  const window = (k) => Object.fromEntries(channels.map(({ name }) => [name, night.channels[name][k]]));
  const entry = ([sensor, { share, seconds_since }]) => [sensor, { share, secondsSince: seconds_since }];
  const coverage = night.coverage.map((sensors) => Object.fromEntries(Object.entries(sensors).map(entry)));
  const never = Object.entries(coverage.at(-1) ?? {}).filter(([, { secondsSince }]) => secondsSince === null);
  return {
    ...movement(rows), name: night.id, subject: night.id, part: night.part, start: night.start, stride, windows: n,
    heart: rows("heart_rate"), stages: night.stages.some(Boolean) ? night.stages : null, clock: null,
    notes: [...night.findings, ...missing(never.map(([sensor]) => sensor))],
    open: (stager) => async (k) => {
      const probabilities = await stager.step(window(k));
      return { probabilities, unknown: night.unknown[k], coverage: coverage[k] };
    },
  };
}

export function fromCsv(text, name, catalog) {
  const { events, end, clock, ignored } = parse(text, catalog), stride = catalog.seconds.stride;
  const grace = catalog.grace_seconds; // a bin that ends this little after a window still belongs to it
  const windows = Math.floor((end + grace) / stride);
  if (!windows) throw new Error(`the file ends after ${end} s; a window of ${stride} s is the least`);
  const of = (sensor) => events.filter((event) => event[0] === sensor).map(([, t, value]) => [t, value]);
  return {
    name, subject: name.replace(/\.[^.]*$/, ""), part: null, start: 0, stride, windows, heart: of("heart_rate"),
    movement: of("activity"), movementOf: "activity counts", stages: null, clock,
    notes: [
      ...(ignored ? [outOfRange(ignored, catalog.sensors)] : []),
      ...missing(["heart_rate", "activity"].filter((sensor) => !of(sensor).length)),
    ],
    open: (stager) => {
      let next = 0;
      return async (k) => {
        const close = (k + 1) * stride;
        for (; next < events.length && events[next][1] <= close + grace; next++) stager.feed(...events[next]);
        const [{ stage, probabilities, coverage }] = await stager.take(close);
        return { probabilities, unknown: stage === UNKNOWN, coverage };
      };
    },
  };
}

/** A note that names the sensors that gave nothing all night. */
function missing(sensors) {
  return sensors.length ? [`Missing all night: ${sensors.map((sensor) => SENSORS[sensor]).join(", ")}.`] : [];
}

function outOfRange(ignored, { heart_rate: heart, activity }) {
  const ranges = `heart rate ${heart.range[0]} to ${heart.range[1]}, activity from ${activity.range[0]}`;
  return `${ignored} values out of range (${ranges}) are not counted.`;
}

/** [t, value] of the values that are new in each window; a bin's t is its end. */
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

/** Movement to draw: counts, or else how much acceleration changes from row to row, or steps. */
function movement(rows) {
  if (rows("activity").length) return { movement: rows("activity"), movementOf: "activity counts" };
  const z = rows("motion_z");
  if (z.length) {
    const change = z.slice(1).map(([t, x], i) => [t, Math.abs(x - z[i][1])]);
    return { movement: change, movementOf: "change of acceleration (z), g" };
  }
  return { movement: rows("steps"), movementOf: rows("steps").length ? "steps" : "no sensor of movement" };
}
