// What goes wrong, with a code that is the same in the library of every language.

/** An error that names what was given and what was expected. code: one of those of README.md. */
export class StagerError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "StagerError";
    this.code = code;
  }
}

/** The entry of a name; a StagerError that lists the names where there is none. */
export function oneOf(code, what, name, entries) {
  if (Object.hasOwn(entries, name)) return entries[name];
  throw new StagerError(code, `${what} ${name}: expected one of ${Object.keys(entries).join(", ") || "none"}`);
}
