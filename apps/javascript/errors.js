// Errors, with the same codes in the libraries of all languages.

/** An error that names what was given and what was expected. code: one of those of README.md. */
export class StagerError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "StagerError";
    this.code = code;
  }
}

/** The entry of a name, or a StagerError that lists the known names. */
export function oneOf(code, what, name, entries) {
  if (Object.hasOwn(entries, name)) return entries[name];
  throw new StagerError(code, `${what} ${name}: expected one of ${Object.keys(entries).join(", ") || "none"}`);
}
