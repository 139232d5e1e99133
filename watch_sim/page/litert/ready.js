// LiteRT.js with its WebAssembly runtime loaded.

import * as litert from "./litert.js";

const RUNTIME = new URL("litert_wasm_compat_internal.js", import.meta.url).href;
let loading = null;

/** The module litert.js, its runtime loaded once; after a failure the next call tries again. */
export function loadLitert() {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load() {
  globalThis.Module = { // the runtime writes its notes, too, as errors
    printErr: (line) => (/^(INFO|WARNING)/.test(line) ? console.debug(line) : console.error(line)),
  };
  await litert.loadLiteRt(RUNTIME);
  return litert;
}
