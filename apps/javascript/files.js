// The files of a bundle, by address: fetched, or in Node read from the disk.

import { StagerError } from "./errors.js";

/** A module of Node; undefined elsewhere. Asked for in this way no bundler looks for it. */
export const builtin = (name) => globalThis.process?.getBuiltinModule?.(name);

/** A function async (file name) => its bytes, of the folder at an address (in Node also file:… or a path). */
export function readFrom(base) {
  return async (name) => {
    if (base === undefined) throw new StagerError("missing_file", `${name}: create needs base or read`);
    const address = new URL(name, folder(base));
    return address.protocol === "file:" && builtin("node:fs") ? readFile(address) : fetched(address);
  };
}

/** The URL of a folder, given as an address, relative to the page, or in Node as a path. */
export function folder(base) {
  const here = globalThis.location?.href ?? builtin("node:url")?.pathToFileURL(`${process.cwd()}/`);
  const address = new URL(base, here);
  if (!address.pathname.endsWith("/")) address.pathname += "/";
  return address;
}

async function readFile(address) {
  return builtin("node:fs").promises.readFile(address);
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new StagerError("missing_file", `${address}: HTTP status ${response.status}`);
  return response.arrayBuffer();
}
