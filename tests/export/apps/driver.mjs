/**
 * Drives a SleepStager by lines on stdin, an answer a line, as drive() in test_apps.py describes.
 *
 * In place of LiteRT.js stands a module that has interpreters.py do the work, the command of which is in the environment
 * variable INTERPRETERS, words parted by newlines. It counts tensors that were not deleted.
 */
import {spawn} from "node:child_process";
import {readFile} from "node:fs/promises";
import {createInterface} from "node:readline";
import {pathToFileURL} from "node:url";

const [folder] = process.argv.slice(2);
const {SleepStager} = await import(pathToFileURL(`${folder}/sleep-stager.js`));

const [command, ...words] = process.env.INTERPRETERS.split("\n");
const child = spawn(command, words, {stdio: ["pipe", "pipe", "ignore"]});
const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
async function ask(line) {
  child.stdin.write(line + "\n");
  return (await lines.next()).value;
}

let alive = 0;
class Tensor {
  constructor(values, shape) {
    if (!(values instanceof Float32Array)) throw new Error("not a Float32Array");
    if (values.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${values.length} values for ${shape}`);
    this.values = values.slice();
    alive++;
  }
  toTypedArray() {
    return this.values.slice();
  }
  delete() {
    this.values = null;
    alive--;
  }
}
const litert = {
  Tensor,
  async loadAndCompile(bytes, {accelerator}) {
    if (accelerator !== "wasm") throw new Error(accelerator);
    const number = await ask(`load ${Buffer.from(bytes).toString("base64")}`);
    return {
      async run(signature, inputs) {
        const tensors = Object.entries(inputs).map(([name, {values}]) =>
          `${name}=${Buffer.from(values.buffer).toString("base64")}`);
        const said = await ask(`run ${number} ${signature} ${tensors.join(" ")}`);
        return Object.fromEntries(said.split(" ").map((text) => {
          const at = text.indexOf("="), bytes = Buffer.from(text.slice(at + 1), "base64");
          const values = Float32Array.from({length: bytes.length / 4}, (_, i) => bytes.readFloatLE(4 * i));
          return [text.slice(0, at), new Tensor(values, [values.length])];
        }));
      },
      delete() {},
    };
  },
};

let stager, saved;
const epochs = [];
async function answer([word, ...rest]) {
  if (word === "create") {
    const read = (name) => readFile(`${folder}/${name}`);
    const [precision, start, point] = rest;
    const operatingPoint = point === "-" ? null : point;
    stager = await SleepStager.create({litert, read, precision, start: Number(start), operatingPoint});
  } else if (word === "feed") {
    const [sensor, t, ...values] = rest;
    stager.feed(sensor, Number(t), values.length === 1 ? Number(values[0]) : values.map(Number));
  } else if (word === "take") {
    const taken = await (rest[0] === "-" ? stager.take() : stager.take(Number(rest[0])));
    epochs.push(...taken);
    return taken.map(({time, stage, probabilities, coverage}) => [
      time, stage, ...probabilities,
      ...Object.entries(coverage).map(([sensor, {share, secondsSince}]) => `${sensor}=${share},${secondsSince}`),
    ].join(" ")).join("|");
  } else if (word === "dropped") {
    return Object.entries(stager.dropped).flatMap(([sensor, reasons]) =>
      Object.entries(reasons).filter(([, n]) => n).map(([reason, n]) => `${sensor}.${reason}=${n}`)).join(" ");
  } else if (word === "findings") {
    return stager.findings.join("|");
  } else if (word === "step") {
    const window = Object.fromEntries(rest.map((text) => text.split("=")).map(([k, v]) => [k, v.split(",").map(Number)]));
    return (await stager.step(window)).join(" ");
  } else if (word === "save") saved = stager.save();
  else if (word === "cut") saved = saved.slice(0, saved.length / 2);
  else if (word === "restore") stager.restore(saved);
  else if (word === "reset") stager.reset(Number(rest[0]));
  else if (word === "segments") {
    const [zone, platform, origin] = rest;
    const segments = SleepStager.segments(epochs, {zone, platform, origin: Number(origin)});
    return segments.map((each) => [each.start, each.end, each.stage, each.value].join(" ")).join("|");
  }
  if (alive) throw new Error(`${alive} tensors were not deleted`);
  return "ok";
}

for await (const line of createInterface({input: process.stdin})) {
  console.log(await answer(line.split(" ")).catch((error) => `error ${error.message}`));
}
child.stdin.end();
