// The choices in the page's address, so that a reload keeps them and a link shares them.

/** What the address asks for: {night, model, compare, speed, at: windows, scored: whether to lay it over}. */
export function asked() {
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

/** Keep choices: as `asked` gives them; null, "" and defaults are left out. */
export function keep({ night, model, other, speed, at, scored }) {
  const text = ({ architecture, precision, point }) => [architecture, precision, point].filter(Boolean).join(".");
  const entries = { night, model: text(model), compare: text(other), speed, at, scored: scored ? null : "0" };
  const query = new URLSearchParams(Object.entries(entries).filter(([, value]) => value !== null && value !== ""));
  const address = `${location.pathname}${query.size ? `?${query}` : ""}`;
  if (address !== location.pathname + location.search) history.replaceState(null, "", address);
}
