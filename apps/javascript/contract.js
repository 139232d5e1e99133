// The part of a bundle's contract.json that this library uses, checked on reading.

import { StagerError } from "./errors.js";
import { plainSha256 } from "./sha256.js";

export const FORMAT = "wristsleep-contract/1";
export const RUNTIME = "litert.js"; // name in contracts of the runtime that this library uses
export const UNKNOWN = "Unknown"; // given in place of a stage if there are too few data
export const STAGES = [ // in the order of the probabilities, with their codes in health stores
  { name: "Wake", healthkit: 2, health_connect: 1 },
  { name: "N1", healthkit: 3, health_connect: 4 },
  { name: "N2", healthkit: 3, health_connect: 4 },
  { name: "N3", healthkit: 4, health_connect: 5 },
  { name: "REM", healthkit: 5, health_connect: 6 },
];
// of the format: contracts repeat them for readers, and any other value is an error
const CONSTANTS = {
  grace_seconds: 0.1,
  longest_seconds: 93600,
  sensors: {
    heart_rate: { range: [20, 250], value: "mean", channels: ["heart_rate"] },
    motion: { range: [-16, 16], value: "mean", channels: ["motion_x", "motion_y", "motion_z", "motion_magnitude"] },
    steps: { range: [0, 10000], value: "sum", channels: ["steps"] },
    activity: { range: [0, 100000], value: "sum", channels: ["activity"] },
  },
  unknown: { absent_seconds: 300, off_wrist_seconds: 1800, off_wrist_blind_seconds: 7200, coverage_seconds: 600 },
  input_guard: { first_seconds: 60, least_samples: 25, gravity_g: [0.5, 2], standard_gravity: 9.80665 },
};
const GRID = { hz: 50, missing: -100, grace_seconds: 0.1, gap_seconds: 1, bin_seconds: 15 };
const MISSING = { heart_rate: 0, steps: -1, activity: -1 }; // of a channel; of all others as on the grid
const WEIGHTS_ROUNDING = 3e-4; // tolerance of the sum of an operating point's weights, which is 1
export const SENSORS = Object.keys(CONSTANTS.sensors);

// the form of the document: the name of a type, [of each], {field: form}; optional() and fields() are below
const optional = (form) => ({ optional: form });
const fields = (form) => ({ fields: form }); // an object whose fields have any name
const tensor = { name: "string", shape: ["number"], dtype: optional("string") };
const plan = {
  calls: [{
    file: "string", sha256: "string", signature: "string", runtimes: optional(fields("string")),
    inputs: [{ ...tensor, from: "string" }], outputs: [{ ...tensor, to: optional("string") }],
  }],
  states: fields({ shape: ["number"], initial: "number" }),
};
const FORM = {
  architecture: "string",
  stages: [{ name: "string", healthkit: "number", health_connect: "number" }],
  seconds: { row: "number", window: "number", stride: "number" },
  grace_seconds: "number",
  longest_seconds: "number",
  training_data: { simulated: "boolean" },
  sensors: Object.fromEntries(SENSORS.map((sensor) => (
    [sensor, { range: ["number"], value: "string", channels: ["string"] }]
  ))),
  channels: [{
    name: "string", values_per_window: "number", seconds_per_value: "number", missing: "number", value: "string",
  }],
  preprocessing: {
    activity: optional({
      ...plan, hz: "number", missing: "number", grace_seconds: "number", gap_seconds: "number", bin_seconds: "number",
      call_seconds: optional("number"),
    }),
  },
  operating_points: optional(fields({ weights: ["number"] })),
  unknown: {
    absent_seconds: "number", off_wrist_seconds: "number", off_wrist_blind_seconds: "number",
    coverage_seconds: "number",
  },
  input_guard: {
    first_seconds: "number", least_samples: "number", gravity_g: ["number"], standard_gravity: "number",
  },
  precisions: fields({ ...plan, probabilities: "string" }),
};

const refuse = (text) => {
  throw new StagerError("unsupported_contract", `contract.json: ${text}`);
};

/**
 * A contract of its text: {document: as it is written, stride (s), channelsOf: {sensor: entries of those of the model's
 * channels that it fills}, activity: the plan that counts raw motion (without calls where there is none),
 * operatingPoints}. A StagerError where it is not one that this library understands.
 */
export function readContract(text) {
  if (isAltered(text)) {
    throw new StagerError("altered_contract", "contract.json: altered; its SHA-256 is not the one at its end");
  }
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    refuse(`not JSON (${error.message})`);
  }
  if (document?.format !== FORMAT) refuse(`format: ${JSON.stringify(document?.format)}, expected "${FORMAT}"`);
  check(document, FORM, "");
  checkStages(document.stages);
  const { channels, sensors, seconds: { stride }, preprocessing, operating_points: operatingPoints = {} } = document;
  if (!(stride > 0)) refuse(`seconds.stride: ${stride}, expected more than 0`);
  checkConstants(document, CONSTANTS, "");
  for (const [name, { weights }] of Object.entries(operatingPoints)) {
    const sum = weights.reduce((a, b) => a + b, 0), ofOne = Math.abs(sum - 1) <= WEIGHTS_ROUNDING;
    if (weights.length !== STAGES.length || !(Math.min(...weights) > 0) || !ofOne) {
      refuse(`operating_points.${name}.weights: expected ${STAGES.length} numbers above 0 that sum to 1`);
    }
  }
  const channelsOf = Object.fromEntries(SENSORS.map((sensor) => (
    [sensor, channels.filter(({ name }) => sensors[sensor].channels.includes(name))]
  )));
  const given = Object.fromEntries(channels.map(({ name, values_per_window: n }) => [`channel:${name}`, n]));
  channels.forEach((channel, i) => {
    const { name, values_per_window: n, seconds_per_value: every } = channel, place = `channels.${i}`;
    const sensor = SENSORS.find((id) => channelsOf[id].includes(channel));
    if (!sensor) refuse(`${place}.name: no sensor fills '${name}'`);
    if (channels.findIndex((other) => other.name === name) < i) refuse(`${place}.name: '${name}' is there twice`);
    const { row } = document.seconds, { value } = sensors[sensor];
    const seconds = name === "activity" ? Math.max(GRID.bin_seconds, row) : row;
    const constants = { seconds_per_value: seconds, missing: MISSING[name] ?? GRID.missing, value };
    checkConstants(channel, constants, place);
    const expected = document.seconds.window / every;
    if (n !== expected) refuse(`${place}.values_per_window: ${n}, expected ${expected}`);
    if (!Number.isInteger(stride / every)) refuse(`${place}.seconds_per_value: ${every} does not divide ${stride}`);
  });
  for (const [name, entry] of Object.entries(preprocessing)) {
    if (name !== "activity" || !entry) refuse(`preprocessing.${name}: expected activity only, an object`);
    checkConstants(entry, GRID, "preprocessing.activity");
  }
  const activity = preprocessing.activity ?? { calls: [], states: {} };
  if (preprocessing.activity) {
    const { hz, call_seconds: seconds = stride } = activity, points = 3 * hz * seconds;
    if (!Number.isInteger(stride / seconds)) {
      refuse(`preprocessing.activity.call_seconds: ${seconds}, expected a part of the stride, ${stride}`);
    }
    checkFlow("preprocessing.activity", activity, { "sensor:motion": points }, { newest: GRID.missing });
    const outputs = activity.calls.flatMap((call) => call.outputs);
    const counts = outputs.filter(({ to }) => to === "channel:activity").map(({ shape }) => sizeOf(shape));
    const channel = channels.find(({ name }) => name === "activity");
    if (counts.length !== 1 || counts[0] * channel?.seconds_per_value !== seconds) {
      refuse(`preprocessing.activity: expected one output to channel:activity, of the counts of ${seconds} s`);
    }
  }
  for (const [name, entry] of Object.entries(document.precisions)) {
    const sizes = checkFlow(`precisions.${name}`, entry, given);
    if (sizes[`output:${entry.probabilities}`] !== STAGES.length) {
      refuse(`precisions.${name}.probabilities: no output '${entry.probabilities}' of ${STAGES.length} values`);
    }
  }
  return { document, stride, channelsOf, activity, operatingPoints };
}

/**
 * Whether the text differs from its digest, the SHA-256 of the text with 64 zeros in its place. It is the last entry and
 * the only one of this name; earlier contracts have no such name, nor text as their last value.
 */
function isAltered(text) {
  const end = /"digest"\s*:\s*"([0-9a-f]{64})"\s*\}\s*$/.exec(text), names = text.match(/"digest"\s*:/gi) ?? [];
  if (!end || names.length > 1) return names.length > 0 || /"\s*\}\s*$/.test(text);
  const [found, digest] = end, zeroed = text.slice(0, end.index) + found.replace(digest, "0".repeat(64));
  return plainSha256(new TextEncoder().encode(zeroed)) !== digest;
}

function check(value, form, path) {
  if (form.optional) return value === undefined || value === null || check(value, form.optional, path);
  if (value === undefined || value === null) refuse(`${path}: missing`);
  const wrong = (expected) => refuse(`${path}: ${JSON.stringify(value).slice(0, 80)}, expected ${expected}`);
  if (typeof form === "string") return typeof value === form || wrong(`a ${form}`);
  if (Array.isArray(form)) {
    if (!Array.isArray(value)) wrong("a list");
    return value.forEach((entry, i) => check(entry, form[0], `${path}.${i}`));
  }
  if (typeof value !== "object" || Array.isArray(value)) wrong("an object");
  const place = (name) => (path ? `${path}.${name}` : name);
  if (form.fields) return Object.entries(value).forEach(([name, entry]) => check(entry, form.fields, place(name)));
  return Object.entries(form).forEach(([name, part]) => check(value[name], part, place(name)));
}

function checkStages(stages) {
  const text = ({ name, healthkit, health_connect }) => `${name} ${healthkit}/${health_connect}`;
  const [given, expected] = [stages, STAGES].map((some) => some.map(text).join(", "));
  if (given !== expected) refuse(`stages: ${given}, expected ${expected} (HealthKit/Health Connect)`);
}

/** Check that the fields of a value have the required form. */
function checkConstants(value, constants, path) {
  for (const [name, expected] of Object.entries(constants)) {
    const found = value[name], place = path ? `${path}.${name}` : name;
    if (typeof expected === "object" && !Array.isArray(expected)) checkConstants(found, expected, place);
    else if (JSON.stringify(found) !== JSON.stringify(expected)) {
      refuse(`${place}: ${JSON.stringify(found).slice(0, 80)}, expected ${JSON.stringify(expected)}`);
    }
  }
}

/**
 * Check where inputs come from and how large they are, and that every state is renewed. sizes: of what is given; gives
 * them with those of outputs. initial: {state: how it begins}, of those that do not begin at 0.
 */
function checkFlow(place, { calls, states }, sizes, initial = {}) {
  const sizesBySource = { ...sizes }, renewed = new Set();
  for (const [name, { shape }] of Object.entries(states)) {
    sizesBySource[`state:${name}`] = sizeOf(shape);
    checkConstants(states[name], { initial: initial[name] ?? 0 }, `${place}.states.${name}`);
  }
  calls.forEach(({ file, inputs, outputs }, i) => {
    if (/[/\\]|^\.*$/.test(file)) refuse(`${place}.calls.${i}.file: '${file}', expected a name in the bundle`);
    for (const [side, tensors] of Object.entries({ inputs, outputs })) {
      tensors.forEach(({ dtype = "float32" }, k) => {
        if (dtype !== "float32") refuse(`${place}.calls.${i}.${side}.${k}.dtype: ${dtype}, expected float32`);
      });
    }
    inputs.forEach(({ shape, from }, k) => {
      if (sizesBySource[from] === sizeOf(shape)) return;
      const found = from in sizesBySource ? `of ${sizesBySource[from]} values` : "that is not there";
      refuse(`${place}.calls.${i}.inputs.${k}: ${sizeOf(shape)} values from ${from}, ${found}`);
    });
    outputs.forEach(({ name, shape, to }, k) => {
      sizesBySource[`output:${name}`] = sizeOf(shape);
      renewed.add(to);
      if (!to?.startsWith("state:") || sizesBySource[to] === sizeOf(shape)) return;
      refuse(`${place}.calls.${i}.outputs.${k}: ${sizeOf(shape)} values to ${to}, of ${sizesBySource[to] ?? "no"} values`);
    });
  });
  for (const name of Object.keys(states)) {
    if (!renewed.has(`state:${name}`)) refuse(`${place}.states.${name}: no output becomes this state`);
  }
  return sizesBySource;
}

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
