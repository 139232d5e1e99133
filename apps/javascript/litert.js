// LiteRT.js with its WebAssembly runtime loaded: in the browser, and in Node, for which it has no loader of its own.

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
