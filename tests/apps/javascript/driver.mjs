/**
 * Runs a vector: node driver.mjs VECTOR BUNDLE (stand-in | LITERT), and prints the answers as JSON.
 *
 * stand-in: in place of LiteRT.js a module that has interpreters.py do the work, the command of which is in the
 * environment variable INTERPRETERS, words parted by newlines. LITERT: folder of LiteRT.js as one file.
 */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { loadLitert } from "../../../apps/javascript/sleep-stager.js";
import { answersTo } from "./vectors.mjs";

let alive = 0; // tensors that were not deleted
const [vector, folder, runtime] = process.argv.slice(2);
const [litert, end] = runtime === "stand-in" ? standIn() : [await own(pathToFileURL(`${runtime}/`)), () => {}];
const answers = await answersTo(JSON.parse(await readFile(vector)), { litert, base: path.resolve(folder) });
if (alive) throw new Error(`${alive} tensors were not deleted`);
end();
console.log(JSON.stringify(answers));

async function own(wasm) {
  return loadLitert({ litert: await import(new URL("litert.js", wasm)), wasm });
}

function standIn() {
  const [command, ...words] = process.env.INTERPRETERS.split("\n");
  const child = spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  async function ask(line) {
    child.stdin.write(line + "\n");
    const { value, done } = await lines.next();
    if (done) throw new Error("the interpreters have ended");
    return value;
  }
  class Tensor {
    constructor(values, shape) {
      if (!(values instanceof Float32Array)) throw new Error("not a Float32Array");
      if (values.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${values.length} values for ${shape}`);
      this.values = values.slice();
      alive++;
    }
    toTypedArray() {
      return this.values;
    }
    delete() {
      this.values = null;
      alive--;
    }
  }
  async function loadAndCompile(bytes, { accelerator }) {
    if (accelerator !== "wasm") throw new Error(accelerator);
    const number = await ask(`load ${Buffer.from(bytes).toString("base64")}`);
    async function run(signature, inputs) {
      const tensors = Object.entries(inputs).map(([name, { values }]) => (
        `${name}=${Buffer.from(values.buffer).toString("base64")}`
      ));
      const said = await ask(`run ${number} ${signature} ${tensors.join(" ")}`);
      return Object.fromEntries(said.split(" ").map((text) => {
        const at = text.indexOf("="), bytes = new Uint8Array(Buffer.from(text.slice(at + 1), "base64"));
        const values = new Float32Array(bytes.buffer);
        return [text.slice(0, at), new Tensor(values, [values.length])];
      }));
    }
    const tensors = Object.entries(JSON.parse(await ask(`signatures ${number}`))).map(([name, { inputs, outputs }]) => (
      [name, { getInputDetails: () => inputs, getOutputDetails: () => outputs }]
    ));
    return { run, signatures: Object.fromEntries(tensors), delete() {} };
  }
  return [{ Tensor, loadAndCompile }, () => child.stdin.end()];
}
