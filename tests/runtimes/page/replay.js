// What the tests ask of LiteRT.js: each function takes the address of a bundle's folder and gives plain values.
import { loadLitert } from "/litert/ready.js";
import { segments, SleepStager } from "/sleep-stager/sleep-stager.js";

const litert = await loadLitert();

const json = async (address) => (await fetch(address)).json();

const stagerOf = (base, options) => SleepStager.create({ litert, base, ...options });

/** Probabilities [windows][5] of the golden night, by the library. */
globalThis.replay = async (base, precision) => {
  const { windows } = await json(`${base}golden.json`);
  const stager = await stagerOf(base, { precision });
  const probabilities = [];
  for (const window of windows) probabilities.push(Array.from(await stager.step(window)));
  stager.delete();
  return probabilities;
};

/** Outputs [{name: values}] of the activity call for strides of motion [[x, y, z], …], by its contract alone. */
globalThis.activity = async (base, address) => {
  const { calls, states } = (await json(`${base}contract.json`)).preprocessing.activity;
  const [call] = calls;
  const file = new Uint8Array(await (await fetch(base + call.file)).arrayBuffer());
  const model = await litert.loadAndCompile(file, { accelerator: "wasm" });
  const tensors = {};
  for (const [name, { shape, initial }] of Object.entries(states)) {
    tensors[`state:${name}`] = new Float32Array(shape.reduce((a, b) => a * b)).fill(initial);
  }
  const results = [];
  for (const stride of await json(address)) {
    tensors["sensor:motion"] = Float32Array.from(stride.flat());
    const inputs = {};
    for (const { name, shape, from } of call.inputs) inputs[name] = new litert.Tensor(tensors[from], shape);
    const outputs = await model.run(call.signature, inputs);
    const values = {};
    for (const { name, to } of call.outputs) {
      const x = outputs[name].toTypedArray().slice();
      if (to) tensors[to] = x;
      values[name] = Array.from(x);
    }
    for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
    results.push(values);
  }
  model.delete();
  return results;
};

/**
 * Epochs of a night whose events [[sensor, t, value], …] are fed as they come, stages taken every so often; with `cut`,
 * another stager goes on after so many events with what the first one saved. {epochs, saved: its size in characters}
 */
globalThis.live = async (base, options, address, end, cut = null) => {
  let stager = await stagerOf(base, options);
  let saved = "";
  const epochs = [];
  for (const [i, [sensor, t, value]] of (await json(address)).entries()) {
    if (i === cut) {
      saved = stager.save();
      stager.delete();
      stager = await stagerOf(base, options);
      stager.restore(saved);
    }
    stager.feed(sensor, t, value);
    if (i % 5000 === 0) epochs.push(...(await stager.take()));
  }
  epochs.push(...(await stager.take(end)));
  stager.delete();
  return { epochs: epochs.map((e) => ({ ...e, probabilities: Array.from(e.probabilities) })), saved: saved.length };
};

/** Segments of epochs [{time, stage}, …] for a health store. */
globalThis.segments = segments;

/** The message with which a stager of one precision refuses what one of another precision saved. */
globalThis.refused = async (base, precision, other) => {
  const [stager, stranger] = [await stagerOf(base, { precision }), await stagerOf(base, { precision: other })];
  try {
    stager.restore(stranger.save());
    return null;
  } catch (error) {
    return error.message;
  } finally {
    stager.delete();
    stranger.delete();
  }
};

globalThis.ready = true;
