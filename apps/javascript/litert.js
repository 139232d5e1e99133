// LiteRT.js with its WebAssembly runtime loaded, in the browser and in Node, for which it has no loader of its own; and
// the files that it compiles.

import { StagerError } from "./errors.js";
import { builtin, folder } from "./files.js";

// of the builds of the runtime the one that needs no special headers, and whose sums do not depend on the processor
const RUNTIME = "litert_wasm_compat_internal.js";
let loading = null;

/**
 * The module @litertjs/core, its runtime loaded once; after a failure the next call tries again.
 *
 * litert: the module, where it is not to be found by its name. wasm: address of its folder wasm/; by default the one
 * that lies in the package. Rejects with a StagerError where either is missing or WebAssembly is.
 */
export function loadLitert(options = {}) {
  loading ??= load(options).catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load({ litert, wasm }) {
  const refuse = (code, text, cause) => {
    throw Object.assign(new StagerError(code, text), { cause });
  };
  if (!globalThis.WebAssembly) refuse("refused_runtime", "litert.js: there is no WebAssembly here");
  if (!globalThis.document && !globalThis.importScripts && !builtin("node:vm")) {
    refuse("refused_runtime", "litert.js: expected a page, a classic worker, or Node 20.16, 22.3 or later");
  }
  try {
    litert ??= await import("@litertjs/core");
    wasm = wasm ? folder(wasm) : new URL("../wasm/", import.meta.resolve("@litertjs/core"));
  } catch (error) {
    const text = `@litertjs/core: ${error.message}; expected npm install @litertjs/core, or litert and wasm`;
    refuse("missing_file", text, error);
  }
  const runtime = String(new URL(RUNTIME, wasm));
  const inNode = !globalThis.document && !globalThis.importScripts, undo = inNode ? standIn() : () => {};
  const note = inNode ? () => {} : console.debug; // which Node would print
  globalThis.Module = { // the runtime writes its notes, too, as errors
    printErr: (line) => (/^(INFO|WARNING)/.test(line) ? note(line) : console.error(line)),
  };
  try {
    await litert.loadLiteRt(runtime);
  } catch (error) {
    refuse("missing_file", `${runtime}: cannot be loaded (${error.message ?? error.type})`, error);
  } finally {
    undo();
  }
  return litert;
}

/**
 * {file: compiled model} of files, {file: content}, once they take and give what the contract's calls say. options: for
 * loadAndCompile. Rejects with a StagerError, and keeps none, where one cannot be loaded or differs.
 */
export async function compiled(litert, files, calls, options) {
  const models = {};
  try {
    for (const [file, content] of Object.entries(files)) models[file] = await litert.loadAndCompile(content, options);
    for (const call of calls) checkTensors(call, models[call.file].signatures);
  } catch (error) {
    Object.values(models).forEach((model) => model.delete());
    if (error instanceof StagerError) throw error;
    const file = Object.keys(files).find((name) => !models[name]);
    const text = `${file}: litert.js cannot load it (${error?.message ?? error})`;
    throw Object.assign(new StagerError("refused_runtime", text), { cause: error });
  }
  return models;
}

/** Check a file's tensors against the contract. signatures: of the compiled model, by name. */
function checkTensors(call, signatures) {
  const refuse = (text) => {
    throw new StagerError("unsupported_contract", `${call.file}: ${text}`);
  };
  const names = Object.keys(signatures);
  if (!names.includes(call.signature)) refuse(`its signatures are ${names}, contract.json promises ${call.signature}`);
  const { [call.signature]: signature } = signatures;
  for (const [side, tensors] of [["inputs", signature.getInputDetails()], ["outputs", signature.getOutputDetails()]]) {
    const [found, promised] = [tensors, call[side]].map(asText);
    if (found !== promised) refuse(`its ${side} are ${found}; contract.json promises ${promised}`);
  }
}

/** Tensors in the order of their names, such as "heart_rate float32 [1,30]". */
function asText(tensors) {
  return tensors.map(({ name, dtype = "float32", shape }) => `${name} ${dtype} [${shape}]`).sort().join(", ") || "none";
}

/** Until the function that it gives is called, Node has what LiteRT.js loads its runtime by. */
function standIn() {
  const [fs, vm, url, path, module] = ["fs", "vm", "url", "path", "module"].map((name) => builtin(`node:${name}`));
  const importScripts = (address) => { // as a CommonJS module, which is how the runtime knows Node
    const file = url.fileURLToPath(address);
    const script = fs.readFileSync(file, "utf8");
    const text = `(function (require, __filename, __dirname) {${script}\nreturn ModuleFactory;})`;
    const wrapped = vm.runInThisContext(text, { filename: file });
    globalThis.ModuleFactory = wrapped(module.createRequire(file), file, path.dirname(file));
  };
  const adapter = { limits: {}, features: new Set(), requestDevice: async () => null }; // there is no GPU
  const given = { self: globalThis, importScripts, navigator: { gpu: { requestAdapter: async () => adapter } } };
  const before = Object.keys(given).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const [name, value] of Object.entries(given)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return () => {
    for (const [name, descriptor] of before) {
      delete globalThis[name];
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    }
  };
}
