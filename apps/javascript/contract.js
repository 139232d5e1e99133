// contract.json of a bundle: what this library reads of it, checked when it is read.

import { StagerError } from "./errors.js";

export const FORMAT = "wristsleep-contract/1";
export const RUNTIME = "litert.js"; // what a contract calls the runtime that this library runs on
export const UNKNOWN = "Unknown"; // stands in place of a stage where too little was sensed
export const STAGES = [ // in the order of the probabilities, with their codes in health stores
  { name: "Wake", healthkit: 2, health_connect: 1 },
  { name: "N1", healthkit: 3, health_connect: 4 },
  { name: "N2", healthkit: 3, health_connect: 4 },
  { name: "N3", healthkit: 4, health_connect: 5 },
  { name: "REM", healthkit: 5, health_connect: 6 },
];
export const SENSORS = ["heart_rate", "motion", "steps", "activity"];

// the form of the document: the name of a type, [of each], {field: form}; optional() and each() are below
const optional = (form) => ({ optional: form });
const each = (form) => ({ each: form }); // an object whose fields have any name
const tensor = { name: "string", shape: ["number"], dtype: optional("string") };
const plan = {
  calls: [{
    file: "string", sha256: "string", signature: "string", runtimes: optional(each("string")),
    inputs: [{ ...tensor, from: "string" }], outputs: [{ ...tensor, to: optional("string") }],
  }],
  states: each({ shape: ["number"], initial: "any" }),
};
const FORM = {
  architecture: "string",
  stages: [{ name: "string", healthkit: "number", health_connect: "number" }],
  seconds: { window: "number", stride: "number" },
  grace_seconds: "number",
  longest_seconds: "number",
  training_data: { simulated: "boolean" },
  sensors: Object.fromEntries(SENSORS.map((sensor) => (
    [sensor, { range: ["number"], value: "string", channels: ["string"] }]
  ))),
  channels: [{
    name: "string", values_per_window: "number", seconds_per_value: "number", missing: "number", value: "string",
  }],
  preprocessing: optional({
    activity: optional({
      ...plan, hz: "number", missing: "number", grace_seconds: "number", gap_seconds: "number", bin_seconds: "number",
      call_seconds: optional("number"),
    }),
  }),
  operating_points: optional(each({ weights: ["number"] })),
  unknown: {
    absent_seconds: "number", off_wrist_seconds: "number", off_wrist_blind_seconds: "number",
    coverage_seconds: "number",
  },
  input_guard: {
    first_seconds: "number", least_samples: "number", gravity_g: ["number"], standard_gravity: "number",
  },
  precisions: each({ ...plan, probabilities: "string" }),
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
  for (const [name, { weights }] of Object.entries(operatingPoints)) {
    if (weights.length !== STAGES.length) refuse(`operating_points.${name}.weights: expected ${STAGES.length} numbers`);
  }
  if (!(stride > 0)) refuse(`seconds.stride: ${stride}, expected more than 0`);
  const channelsOf = Object.fromEntries(SENSORS.map((sensor) => (
    [sensor, channels.filter(({ name }) => sensors[sensor].channels.includes(name))]
  )));
  const given = Object.fromEntries(channels.map(({ name, values_per_window: n }) => [`channel:${name}`, n]));
  channels.forEach((channel, i) => {
    const { name, values_per_window: n, seconds_per_value: every } = channel, place = `channels.${i}`;
    if (!Object.values(channelsOf).flat().includes(channel)) refuse(`${place}.name: no sensor fills '${name}'`);
    const expected = document.seconds.window / every;
    if (n !== expected) refuse(`${place}.values_per_window: ${n}, expected ${expected}`);
    if (!Number.isInteger(stride / every)) refuse(`${place}.seconds_per_value: ${every} does not divide ${stride}`);
  });
  const activity = preprocessing?.activity ?? { calls: [], states: {} };
  if (activity.calls.length) {
    const { hz, call_seconds: seconds = stride } = activity, points = 3 * hz * seconds;
    if (!Number.isInteger(stride / seconds)) {
      refuse(`preprocessing.activity.call_seconds: ${seconds}, expected a part of the stride, ${stride}`);
    }
    checkFlow("preprocessing.activity", activity, { "sensor:motion": points });
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

function check(value, form, path) {
  if (form.optional) return value === undefined || value === null || check(value, form.optional, path);
  if (value === undefined || value === null) refuse(`${path}: missing`);
  const wrong = (expected) => refuse(`${path}: ${JSON.stringify(value).slice(0, 80)}, expected ${expected}`);
  if (form === "any") return true;
  if (typeof form === "string") return typeof value === form || wrong(`a ${form}`);
  if (Array.isArray(form)) {
    if (!Array.isArray(value)) wrong("a list");
    return value.forEach((entry, i) => check(entry, form[0], `${path}.${i}`));
  }
  if (typeof value !== "object" || Array.isArray(value)) wrong("an object");
  const place = (name) => (path ? `${path}.${name}` : name);
  if (form.each) return Object.entries(value).forEach(([name, entry]) => check(entry, form.each, place(name)));
  return Object.entries(form).forEach(([name, part]) => check(value[name], part, place(name)));
}

function checkStages(stages) {
  const text = ({ name, healthkit, health_connect }) => `${name} ${healthkit}/${health_connect}`;
  const [given, expected] = [stages, STAGES].map((each) => each.map(text).join(", "));
  if (given !== expected) refuse(`stages: ${given}, expected ${expected} (HealthKit/Health Connect)`);
}

/** Check where inputs come from and how large they are. sizes: of what is given; gives them with those of outputs. */
function checkFlow(place, { calls, states }, sizes) {
  const known = { ...sizes };
  for (const [name, { shape }] of Object.entries(states)) known[`state:${name}`] = sizeOf(shape);
  for (const [name, { shape, initial }] of Object.entries(states)) {
    const values = [initial].flat(Infinity);
    if (!values.every(Number.isFinite) || ![1, sizeOf(shape)].includes(values.length)) {
      refuse(`${place}.states.${name}.initial: expected a number or ${sizeOf(shape)} of them`);
    }
  }
  calls.forEach(({ file, inputs, outputs }, i) => {
    if (/[/\\]|^\.*$/.test(file)) refuse(`${place}.calls.${i}.file: '${file}', expected a name in the bundle`);
    for (const [side, tensors] of Object.entries({ inputs, outputs })) {
      tensors.forEach(({ dtype = "float32" }, k) => {
        if (dtype !== "float32") refuse(`${place}.calls.${i}.${side}.${k}.dtype: ${dtype}, expected float32`);
      });
    }
    inputs.forEach(({ shape, from }, k) => {
      if (known[from] === sizeOf(shape)) return;
      const found = from in known ? `of ${known[from]} values` : "that is not there";
      refuse(`${place}.calls.${i}.inputs.${k}: ${sizeOf(shape)} values from ${from}, ${found}`);
    });
    outputs.forEach(({ name, shape, to }, k) => {
      known[`output:${name}`] = sizeOf(shape);
      if (!to?.startsWith("state:") || known[to] === sizeOf(shape)) return;
      refuse(`${place}.calls.${i}.outputs.${k}: ${sizeOf(shape)} values to ${to}, of ${known[to] ?? "no"} values`);
    });
  });
  return known;
}

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
