// LiteRT.js, loaded: import * as litert from "./litert/ready.js". All its notes come as errors; only its errors stay so.
import { loadLiteRt } from "./litert.js";

globalThis.Module = { printErr: (line) => (line.startsWith("ERROR") ? console.error(line) : console.debug(line)) };
await loadLiteRt(new URL("litert_wasm_compat_internal.js", import.meta.url).href);
export * from "./litert.js";
