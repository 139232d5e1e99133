// LiteRT.js of this folder with its WebAssembly runtime loaded.

import * as load from "/sleep-stager/litert.js";
import * as litert from "./litert.js";

/** The module litert.js, its runtime loaded once; after a failure the next call tries again. */
export const loadLitert = () => load.loadLitert({ litert, wasm: new URL(".", import.meta.url) });
