// Runs test vectors on the library by LiteRT.js.
import { loadLitert } from "/litert/ready.js";
import { answersTo } from "/tests/apps/javascript/vectors.mjs";

const litert = await loadLitert();

globalThis.answersTo = (vector, base) => answersTo(vector, { litert, base });
globalThis.ready = true;
