// The choices in the page's address, so that a reload keeps them and a link shares them.

/** The choices in the address: {night, model, other, speed, at: windows, scored: whether scored stages are shown}. */
export function readChoices() {
  const given = new URLSearchParams(location.search), at = given.get("at");
  const model = (name) => {
    const [architecture = "", precision = "", point = ""] = (given.get(name) ?? "").split(".");
    return { architecture, precision, point };
  };
  return {
    night: given.get("night"), model: model("model"), other: model("compare"), speed: given.get("speed"),
    at: /^\d+$/.test(at ?? "") ? Number(at) : null, scored: given.get("scored") !== "0",
  };
}

/** Write choices, as from `readChoices`, to the address; null, "" and defaults are left out. */
export function writeChoices({ night, model, other, speed, at, scored }) {
  const text = ({ architecture, precision, point }) => [architecture, precision, point].filter(Boolean).join(".");
  const entries = { night, model: text(model), compare: text(other), speed, at, scored: scored ? null : "0" };
  const query = new URLSearchParams(Object.entries(entries).filter(([, value]) => value !== null && value !== ""));
  const address = `${location.pathname}${query.size ? `?${query}` : ""}`;
  if (address !== location.pathname + location.search) history.replaceState(null, "", address);
}
