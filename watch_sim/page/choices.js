// What can be chosen: nights, and for the model and the one compared with it architecture, precision, operating point.

import { element, fill } from "./panel.js";

const PARTS = { // what the run used a night for
  validation: "Held out", null: "Not in the run", inner_validation: "Chose the epoch", train: "Trained on",
};
const USUAL = "int8";
const nights = document.getElementById("night");
let bundles = [];

const choice = (which, name) => document.querySelector(`#${which} [name="${name}"]`);
const bundle = (which) => bundles.find(({ architecture }) => architecture === choice(which, "architecture").value);

/** The choice for "model" or "other": {architecture, precision, point, weights, bytes}, "" or null for none. */
export function chosen(which) {
  const value = (name) => choice(which, name).value;
  const [architecture, precision, point] = ["architecture", "precision", "point"].map(value);
  const weights = bundle(which)?.operating_points[point]?.weights ?? null;
  return { architecture, precision, point, weights, bytes: bundle(which)?.precisions[precision] };
}

/** Fill the lists. open(which) is called where another file is chosen, weigh(which) for another operating point. */
export function prepare(models, data, open, weigh) {
  bundles = models;
  const groups = Object.entries(PARTS).map(([part, words]) => [
    words,
    data.filter((night) => String(night.part) === part).map(({ id }) => [id, `${id} · ${words.toLowerCase()}`]),
  ]);
  fill(nights, groups.filter(([, members]) => members.length));
  for (const which of ["model", "other"]) {
    const names = bundles.map(({ architecture }) => [architecture, architecture]);
    fill(choice(which, "architecture"), which === "other" ? [["", "None"], ...names] : names);
    fillRest(which);
    choice(which, "architecture").addEventListener("change", () => {
      fillRest(which);
      open(which);
    });
    choice(which, "precision").addEventListener("change", () => open(which));
    choice(which, "point").addEventListener("change", () => weigh(which));
  }
}

/** Precisions and operating points of the chosen architecture; the chosen precision stays if it has it. */
function fillRest(which) {
  const { precisions = {}, operating_points: points = {} } = bundle(which) ?? {};
  const precision = [choice(which, "precision").value, USUAL].find((name) => name in precisions);
  fill(choice(which, "precision"), Object.keys(precisions).map((name) => [name, name]));
  if (precision) choice(which, "precision").value = precision;
  fill(choice(which, "point"), [["", "default"], ...Object.keys(points).map((name) => [name, name])]);
  for (const name of ["precision", "point"]) choice(which, name).disabled = !bundle(which);
}

/** Show the user's own night as the chosen one. */
export function addOwn(name) {
  nights.querySelector("[value='']")?.remove();
  nights.prepend(element("option", { value: "" }, name));
  nights.value = "";
}
