/** A bundle in memory and a LiteRT.js whose models are functions of JavaScript. */
import { createHash } from "node:crypto";

const STAGES = [["Wake", 2, 1], ["N1", 3, 4], ["N2", 3, 4], ["N3", 4, 5], ["REM", 5, 6]];
const tensor = (name, values, link) => ({ name, shape: [1, values], dtype: "float32", ...link });
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A contract whose model takes heart rate and activity counts; it and the counting remember a number each. */
export function contract(callSeconds) {
  const file = (name) => ({ file: name, sha256: sha256(Buffer.from(name)) });
  return {
    format: "wristsleep-contract/1",
    architecture: "gru",
    training_data: { name: "made up", simulated: false },
    stages: STAGES.map(([name, healthkit, health_connect]) => ({ name, healthkit, health_connect })),
    seconds: { row: 1, window: 30, stride: 30 },
    grace_seconds: 0.1,
    longest_seconds: 93600,
    sensors: {
      heart_rate: { range: [20, 250], value: "mean", channels: ["heart_rate"] },
      motion: { range: [-16, 16], value: "mean", channels: ["motion_x", "motion_y", "motion_z", "motion_magnitude"] },
      steps: { range: [0, 10000], value: "sum", channels: ["steps"] },
      activity: { range: [0, 100000], value: "sum", channels: ["activity"] },
    },
    channels: [
      { name: "heart_rate", values_per_window: 30, seconds_per_value: 1, missing: 0, value: "mean" },
      { name: "activity", values_per_window: 2, seconds_per_value: 15, missing: -1, value: "sum" },
    ],
    preprocessing: {
      activity: {
        hz: 50, missing: -100, grace_seconds: 0.1, gap_seconds: 1, bin_seconds: 15,
        ...(callSeconds ? { call_seconds: callSeconds } : {}),
        calls: [{
          ...file("activity.tflite"),
          signature: "activity",
          inputs: [
            { ...tensor("motion", 0), shape: [1, 50 * (callSeconds ?? 30), 3], from: "sensor:motion" },
            tensor("calls", 1, { from: "state:memory" }),
          ],
          outputs: [
            tensor("activity", (callSeconds ?? 30) / 15, { to: "channel:activity" }),
            tensor("calls_out", 1, { to: "state:memory" }),
          ],
        }],
        states: { memory: { shape: [1, 1], dtype: "float32", initial: 0 } },
      },
    },
    operating_points: { rem: { weights: [0.1, 0.1, 0.1, 0.1, 0.6] } },
    unknown: {
      stage: "Unknown", absent_seconds: 300, off_wrist_seconds: 1800, off_wrist_blind_seconds: 7200,
      coverage_seconds: 600,
    },
    input_guard: { first_seconds: 60, least_samples: 25, gravity_g: [0.5, 2], standard_gravity: 9.80665 },
    precisions: {
      int8: {
        calls: [{
          ...file("step.tflite"),
          runtimes: { "litert.js": "tested", "tflite-micro": "refused: it is wrong there" },
          signature: "step",
          inputs: [
            tensor("heart_rate", 30, { from: "channel:heart_rate" }),
            tensor("activity", 2, { from: "channel:activity" }),
            tensor("windows", 1, { from: "state:memory" }),
          ],
          outputs: [tensor("p", 5), tensor("windows_out", 1, { to: "state:memory" })],
        }],
        states: { memory: { shape: [1, 1], dtype: "float32", initial: 0 } },
        probabilities: "p",
      },
    },
  };
}

/** {read, asked: names of the files that were read} of a bundle with this contract. */
export function bundle(document) {
  const asked = [];
  const read = async (name) => {
    asked.push(name);
    return Buffer.from(name === "contract.json" ? JSON.stringify(document) : name);
  };
  return { read, asked };
}

/**
 * A stand-in for LiteRT.js. calls: what its models were given. The step's probabilities are [windows, newest count,
 * newest heart rate, 0, 0] of its state and window; an activity count is the number of its call. hold() makes the calls
 * that follow wait for the function that it gives; fail: an error that the next call throws. Its models have the
 * tensors of a contract.
 */
export function litert(document = contract()) {
  const made = [...document.preprocessing?.activity?.calls ?? [], ...document.precisions.int8.calls];
  let held = Promise.resolve();
  const here = { calls: [], alive: 0, deleted: 0, fail: null };
  here.Tensor = class {
    constructor(values, shape) {
      if (!(values instanceof Float32Array)) throw new Error("not a Float32Array");
      if (values.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${values.length} values for ${shape}`);
      this.values = values.slice();
      here.alive++;
    }
    toTypedArray() {
      return this.values;
    }
    delete() {
      this.values = null;
      here.alive--;
    }
  };
  here.hold = () => {
    let release;
    held = new Promise((resolve) => (release = resolve));
    return release;
  };
  here.loadAndCompile = async (content) => ({
    signatures: Object.fromEntries(made.filter(({ file }) => file === Buffer.from(content).toString()).map((call) => (
      [call.signature, { getInputDetails: () => call.inputs, getOutputDetails: () => call.outputs }]
    ))),
    async run(signature, inputs) {
      const given = Object.fromEntries(Object.entries(inputs).map(([name, { values }]) => [name, values.slice()]));
      here.calls.push([signature, given]);
      await held;
      if (here.fail) throw here.fail;
      const give = (values) => Object.fromEntries(Object.entries(values).map(
        ([name, list]) => [name, new here.Tensor(Float32Array.from(list), [list.length])],
      ));
      if (signature === "step") {
        const { windows: [n], activity, heart_rate: heart } = given;
        return give({ p: [n, activity.at(-1), heart.at(-1), 0, 0], windows_out: [n + 1] });
      }
      const n = given.calls[0] + 1, counts = given.motion.length / (3 * 50 * 15);
      return give({ activity: Array(counts).fill(n), calls_out: [n] });
    },
    delete() {
      here.deleted++;
    },
  });
  return here;
}
