/** What vectors cannot say: promises under way, pins, warnings, and what is loaded when. node --test. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";

import { plainSha256 } from "../../../apps/javascript/sha256.js";
import { loadLitert, segments, SleepStager, StagerError } from "../../../apps/javascript/sleep-stager.js";
import { bundle, contract, litert, sha256 } from "./fake.mjs";

/** {stager, runtime, asked} of a contract, changed by `change`. */
async function open(options = {}, change = () => {}, callSeconds = undefined) {
  const document = contract(callSeconds);
  change(document);
  const runtime = litert(document);
  const { read, asked } = bundle(document);
  return { stager: await SleepStager.create({ litert: runtime, read, ...options }), runtime, asked };
}

const refusal = (code, words) => (error) => {
  assert(error instanceof StagerError && error instanceof Error, error.stack);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

const steps = (runtime) => runtime.calls.filter(([signature]) => signature === "step").map(([, given]) => given);
const heart = (stager, from, to) => {
  for (let t = from; t < to; t++) stager.feed("heart_rate", t, 60);
};

test("a take under way finishes its night, and a reset begins at once", async () => {
  const { stager, runtime } = await open(), release = runtime.hold();
  heart(stager, 0, 90);
  const first = stager.take(90);
  stager.reset(1000);
  heart(stager, 1000, 1030);
  const second = stager.take(1030);
  release();
  assert.deepEqual((await first).map(({ time }) => time), [0, 30, 60]);
  assert.deepEqual((await second).map(({ time }) => time), [1000]);
  assert.deepEqual(steps(runtime).map(({ windows: [n] }) => n), [0, 1, 2, 0]);
  assert.equal(stager.start, 1000);
});

test("a take under way finishes its night, and a restored one goes on where it was", async () => {
  const { stager, runtime } = await open();
  heart(stager, 0, 60);
  await stager.take(60);
  const saved = stager.save();
  stager.reset(5000);
  heart(stager, 5000, 5060);
  const release = runtime.hold(), under = stager.take(5060);
  stager.restore(saved);
  heart(stager, 60, 90);
  const next = stager.take(90);
  release();
  assert.deepEqual((await under).map(({ time }) => time), [5000, 5030]);
  const [epoch] = await next;
  assert.deepEqual([epoch.time, epoch.probabilities[0]], [60, 2]);
});

test("takes and steps run one after the other, in the order of their calls", async () => {
  const { stager, runtime } = await open(), release = runtime.hold();
  heart(stager, 0, 60);
  const window = { heart_rate: Array(30).fill(70), activity: [1, 2], label: null };
  const asked = [stager.take(30), stager.step(window), stager.take(60), stager.step(window)];
  await new Promise(setImmediate);
  assert.equal(runtime.calls.length, 1);
  release();
  const [one, p, two, q] = await Promise.all(asked);
  assert.deepEqual([one[0].probabilities[0], p[0], two[0].probabilities[0], q[0]], [0, 1, 2, 3]);
  assert.equal(runtime.alive, 0);
});

test("where a take rejects nothing is lost", async () => {
  const { stager, runtime } = await open();
  heart(stager, 0, 30);
  await stager.take(30);
  heart(stager, 30, 90);
  const before = stager.save();
  runtime.fail = new Error("out of memory");
  await assert.rejects(stager.take(), /out of memory/);
  assert.equal(runtime.alive, 0);
  assert.equal(stager.save(), before);
  runtime.fail = null;
  assert.deepEqual((await stager.take(90)).map(({ time, probabilities: p }) => [time, p[0]]), [[30, 1], [60, 2]]);
});

test("what is saved while a take is under way has all of its windows", async () => {
  const { stager, runtime } = await open();
  heart(stager, 0, 90);
  const release = runtime.hold(), under = stager.take(90), saved = stager.save();
  release();
  const { stager: other } = await open();
  other.restore(saved);
  assert.deepEqual(await other.take(), await under);
});

test("deleted when a take under way is done, once, and nothing is taken afterwards", async () => {
  const { stager, runtime } = await open(), release = runtime.hold();
  heart(stager, 0, 30);
  const under = stager.take(30), deleting = Promise.all([stager.delete(), stager.delete()]);
  assert.equal(runtime.deleted, 0);
  release();
  assert.equal((await under).length, 1);
  await deleting;
  assert.equal(runtime.deleted, 2);
  await assert.rejects(stager.take(), /deleted/);
});

for (const [callSeconds, calls, newest] of [[undefined, 1, [1, 1]], [15, 2, [1, 2]], [30, 1, [1, 1]]]) {
  test(`activity is called every ${callSeconds} s, its state carried on`, async () => {
    const { stager, runtime } = await open({}, undefined, callSeconds);
    for (let i = 0; i < 3000; i++) stager.feed("motion", i / 50, [i / 50 < 15 ? 0.5 : 0.75, 0, 0.8]);
    await stager.take(60);
    const made = runtime.calls.filter(([signature]) => signature === "activity").map(([, given]) => given);
    assert.deepEqual(made.map((given) => given.calls[0]), Array.from({ length: 2 * calls }, (_, i) => i));
    assert.deepEqual(Array.from(steps(runtime)[0].activity), newest);
    assert.deepEqual(made.flatMap(({ motion }) => Array.from(motion.filter((_, i) => i % 3 === 0))).slice(0, 1500),
      Array.from({ length: 1500 }, (_, i) => (i === 0 ? -100 : i < 750 ? 0.5 : 0.75)));
  });
}

test("the pin: any other contract is refused", async () => {
  const pin = sha256(Buffer.from(JSON.stringify(contract())));
  assert.equal((await open({ contractSha256: pin.toUpperCase() })).stager.contractSha256, pin);
  const changed = (document) => (document.precisions.int8.calls[0].sha256 = "0".repeat(64));
  await assert.rejects(open({ contractSha256: pin }, changed), refusal("altered_contract", /^contract\.json: SHA-256/));
});

test("simulated: one warning, and a property", async (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const { stager: plain } = await open();
  assert.equal(plain.simulated, false);
  assert.equal(warn.mock.callCount(), 0);
  const { stager } = await open({}, (document) => (document.training_data.simulated = true));
  heart(stager, 0, 60);
  await stager.take(60);
  stager.reset(0);
  assert.equal(stager.simulated, true);
  assert.deepEqual(warn.mock.calls.map((call) => call.arguments), [
    ["trained on simulated nights: its stages say nothing about people"],
  ]);
});

test("a refused runtime is refused before anything is loaded", async () => {
  const refused = (document) => (document.precisions.int8.calls[0].runtimes["litert.js"] = "refused: wrong sums");
  await assert.rejects(open({}, refused), refusal("refused_runtime", /step\.tflite: litert\.js is refused: wrong/));
  await open({}, (document) => delete document.precisions.int8.calls[0].runtimes);
});

const CHANGES = [
  [(c) => (c.format = "wristsleep-contract/2"), /^contract\.json: format: "wristsleep-contract\/2", expected/],
  [(c) => delete c.grace_seconds, /grace_seconds: missing/],
  [(c) => delete c.training_data.simulated, /training_data\.simulated: missing/],
  [(c) => delete c.precisions.int8.calls[0].outputs[1].name, /precisions\.int8\.calls\.0\.outputs\.1\.name: missing/],
  [(c) => (c.seconds.stride = "30"), /seconds\.stride: "30", expected a number/],
  [(c) => (c.channels = {}), /channels: \{\}, expected a list/],
  [(c) => (c.unknown = []), /unknown: \[\], expected an object/],
  [(c) => c.stages.reverse(), /stages: REM 5\/6, .*expected Wake 2\/1/],
  [(c) => (c.stages[1].healthkit = 2), /stages: .*N1 2\/4/],
  [(c) => (c.channels[0].name = "pulse"), /channels\.0\.name: no sensor fills 'pulse'/],
  [(c) => (c.channels[0].values_per_window = 31), /channels\.0\.values_per_window: 31, expected 30/],
  [(c) => (c.preprocessing.activity.call_seconds = 20), /preprocessing\.activity\.call_seconds: 20/],
  [(c) => (c.preprocessing.activity.call_seconds = 15), /preprocessing\.activity\.calls\.0\.inputs\.0: 4500 values/],
  [(c) => (c.precisions.int8.calls[0].inputs[0].dtype = "int8"), /inputs\.0\.dtype: int8, expected float32/],
  [(c) => (c.precisions.int8.calls[0].inputs[0].from = "channel:steps"), /channel:steps, that is not there/],
  [(c) => (c.precisions.int8.states.memory.initial = [1, 2]), /states\.memory\.initial: \[1,2\], expected a number/],
  [(c) => (c.precisions.int8.probabilities = "q"), /precisions\.int8\.probabilities: no output 'q' of 5/],
  [(c) => (c.precisions.int8.calls[0].file = "../step.tflite"), /calls\.0\.file: '\.\.\/step\.tflite', expected/],
  [(c) => (c.operating_points.rem.weights = [1]), /operating_points\.rem\.weights: expected 5/],
  [(c) => (c.operating_points.rem.weights = [0.2, 0.2, 0.2, 0.2, 0.3]), /operating_points\.rem\.weights: expected 5/],
  [(c) => (c.unknown.absent_seconds = 900), /unknown\.absent_seconds: 900, expected 300/],
  [(c) => (c.sensors.motion.range[0] = -8), /sensors\.motion\.range: \[-8,16\], expected \[-16,16\]/],
  [(c) => (c.channels[1].missing = 0), /channels\.1\.missing: 0, expected -1/],
  [(c) => delete c.precisions.int8.calls[0].outputs[1].to, /states\.memory: no output becomes this state/],
  [(c) => (c.preprocessing = { counts: c.preprocessing.activity }), /preprocessing\.counts: expected activity only/],
];
for (const [change, words] of CHANGES) {
  test(`contracts that are not understood: ${words.source}`, async () => {
    await assert.rejects(open({}, change), refusal("unsupported_contract", words));
  });
}

test("a contract that is no JSON", async () => {
  await assert.rejects(
    SleepStager.create({ read: async () => Buffer.from("<!doctype html>") }),
    refusal("unsupported_contract", /not JSON/),
  );
});

test("files: as an address, as a path, and missing", async (t) => {
  const { read } = bundle(contract());
  const server = createServer(async ({ url }, response) => {
    if (!url.startsWith("/folder/") || url.includes("step")) response.statusCode = 404;
    response.end(await read(url.slice("/folder/".length)));
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const base = `http://127.0.0.1:${server.address().port}/folder`;
  await assert.rejects(SleepStager.create({ base }), refusal("missing_file", /folder\/step\.tflite: HTTP status 404/));
  await assert.rejects(SleepStager.create({ base: "no/such/folder" }), refusal("missing_file", /^contract\.json: /));
  await assert.rejects(SleepStager.create(), refusal("missing_file", /needs base or read/));
});

test("an altered file is not loaded", async () => {
  const { read } = bundle(contract()), runtime = litert();
  const other = async (name) => Buffer.concat([await read(name), Buffer.from(name === "step.tflite" ? "!" : "")]);
  runtime.loadAndCompile = () => assert.fail("was loaded");
  await assert.rejects(SleepStager.create({ litert: runtime, read: other }), refusal("altered_file", /^step\.tflite/));
});

test("digests without crypto.subtle", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 1000]) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (7 * i) % 256));
    assert.equal(plainSha256(bytes), sha256(bytes));
  }
});

test("where LiteRT.js is not installed it is asked for", async () => {
  await assert.rejects(loadLitert(), refusal("missing_file", /@litertjs\/core: .*npm install @litertjs\/core/));
});

test("a Node that is too old, and no WebAssembly, are refused", async (t) => {
  const own = process.getBuiltinModule;
  t.after(() => (process.getBuiltinModule = own));
  process.getBuiltinModule = undefined;
  await assert.rejects(loadLitert(), refusal("refused_runtime", /Node 20\.16/));
  process.getBuiltinModule = own;
  const { WebAssembly } = globalThis;
  t.after(() => (globalThis.WebAssembly = WebAssembly));
  delete globalThis.WebAssembly;
  await assert.rejects(loadLitert(), refusal("refused_runtime", /WebAssembly/));
});

test("segments need no model; a stager's have its stride", async () => {
  const epochs = [{ time: 0, stage: "N1" }, { time: 15, stage: "N2" }, { time: 60, stage: "Unknown" }];
  const [run] = segments(epochs, { seconds: 15, zone: "+0530" });
  assert.deepEqual(run, {
    start: "1970-01-01T05:30:00+05:30", end: "1970-01-01T05:30:30+05:30", stage: "asleepCore", value: 3,
  });
  const { stager } = await open();
  assert.equal(stager.segments(epochs, { zone: "UTC" })[0].end, "1970-01-01T00:00:45+00:00");
  for (const zone of ["", "Berlin", "+24:00", "+2", null]) {
    assert.throws(() => segments(epochs, { zone }), refusal("unknown_zone", /Europe\/Berlin/));
  }
});

test("a window by hand has all of its values", async () => {
  const { stager } = await open();
  await assert.rejects(stager.step({ heart_rate: [60] }), refusal("wrong_value_count", /heart_rate: 1 values, .* 30/));
});

test("what is given out changes nothing inside", async () => {
  const { stager } = await open();
  stager.dropped.heart_rate.late = 7;
  assert.equal(stager.dropped.heart_rate.late, 0);
});

const OTHERS = [ // a change of the contract that makes it differ from the files
  [(call) => (call.signature = "serving"), /^step\.tflite: its signatures are step, contract\.json promises serving$/],
  [(call) => (call.inputs[0].shape = [30, 1]), /its inputs are .*heart_rate float32 \[1,30\].* promises .*\[30,1\]/],
  [(call) => call.inputs.splice(1, 1), /its inputs are activity .*; contract\.json promises heart_rate float32/],
  [(call) => (call.outputs[0].shape = [5]), /its outputs are p float32 \[1,5\].* promises p float32 \[5\]/],
];
for (const [change, words] of OTHERS) {
  test(`a file that is not what the contract says is refused on opening: ${words}`, async () => {
    const document = contract(), runtime = litert();
    change(document.precisions.int8.calls[0]);
    const opened = SleepStager.create({ litert: runtime, read: bundle(document).read });
    await assert.rejects(opened, refusal("unsupported_contract", words));
    assert.equal(runtime.deleted, 2);
  });
}

test("another type than the contract's, and a file that LiteRT.js cannot load", async () => {
  const whole = contract(), { read } = bundle(contract());
  whole.precisions.int8.calls[0].inputs[2].dtype = "int32";
  const words = /its inputs are .*windows int32 \[1,1\]; contract\.json .*windows float32 \[1,1\]$/;
  await assert.rejects(SleepStager.create({ litert: litert(whole), read }), refusal("unsupported_contract", words));
  const runtime = litert(), { loadAndCompile } = runtime;
  runtime.loadAndCompile = async (content) => {
    if (Buffer.from(content).toString() === "step.tflite") throw new Error("no operation FFT");
    return loadAndCompile(content);
  };
  const text = /^step\.tflite: litert\.js cannot load it \(no operation FFT\)$/;
  await assert.rejects(SleepStager.create({ litert: runtime, read }), refusal("refused_runtime", text));
  assert.equal(runtime.deleted, 1);
});

test("a state of another operating point is refused; an earlier one, which does not say, is taken", async () => {
  const { stager: plain } = await open(), { stager: weighed } = await open({ operatingPoint: "rem" });
  heart(plain, 0, 40);
  await plain.take();
  const saved = plain.save(), before = weighed.save();
  assert.throws(() => weighed.restore(saved), refusal("wrong_state", /of another operating point/));
  assert.equal(weighed.save(), before);
  const { weights, ...earlier } = JSON.parse(saved.slice(64)), content = JSON.stringify(earlier);
  assert.deepEqual(weights, []);
  weighed.restore(plainSha256(Buffer.from(content)) + content);
  assert.equal((await weighed.take(60))[0].time, 30);
});
