// The choices: night, and architecture, precision and operating point of the model and the one compared with it.

import { architectureName, modelName, PARTS, pointName, precisionName } from "./names.js";
import { element, fill } from "./panel.js";

const USUAL = "int8";
const EVEN = 1.01; // weights whose ratio is smaller have no effect
const nights = document.getElementById("night");
let bundles = [];

const choice = (which, name) => document.querySelector(`#${which} [name="${name}"]`);
const bundle = (which) => bundles.find(({ architecture }) => architecture === choice(which, "architecture").value);

/** The choice for "model" or "other": {architecture, precision, point, weights, bytes, name}, "" or null for none. */
export function chosen(which) {
  const value = (name) => choice(which, name).value;
  const [architecture, precision, point] = ["architecture", "precision", "point"].map(value);
  const weights = bundle(which)?.operating_points[point]?.weights ?? null;
  const name = architecture ? modelName({ architecture, precision, point }) : "None";
  return { architecture, precision, point, weights, bytes: bundle(which)?.precisions[precision], name };
}

/** Fill the lists. Calls open(which) when another file is chosen, weigh(which) for another operating point. */
export function prepare(models, offered, open, weigh) {
  bundles = models;
  const entry = ({ id, labels }) => [id, labels ? id : `${id}, not scored`];
  const of = (part) => offered.filter((night) => String(night.part) === part).map(entry);
  const groups = Object.entries(PARTS).map(([part, words]) => [words, of(part)]);
  fill(nights, groups.filter(([, members]) => members.length));
  for (const which of ["model", "other"]) {
    const names = bundles.map(({ architecture }) => [architecture, architectureName(architecture)]);
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

/** Choose a model by its names; names that do not exist change nothing. */
export function choose(which, { architecture, precision, point }) {
  if (set(choice(which, "architecture"), architecture)) fillRest(which);
  set(choice(which, "precision"), precision);
  set(choice(which, "point"), point);
}

function set(select, value) {
  const found = value && [...select.options].some((option) => option.value === value);
  if (found) select.value = value;
  return found;
}

/** Fill in precisions and operating points of the chosen architecture; keeps the chosen precision if it exists. */
function fillRest(which) {
  const { precisions = {}, operating_points: points = {} } = bundle(which) ?? {};
  const precision = [choice(which, "precision").value, USUAL].find((name) => name in precisions);
  fill(choice(which, "precision"), Object.keys(precisions).map((name) => [name, precisionName(name)]));
  if (precision) choice(which, "precision").value = precision;
  const uneven = ({ weights }) => Math.max(...weights) / Math.min(...weights) > EVEN;
  const useful = Object.keys(points).filter((name) => uneven(points[name]));
  fill(choice(which, "point"), [["", "default"], ...useful.map((name) => [name, pointName(name)])]);
  for (const name of ["precision", "point"]) choice(which, name).closest("label").hidden = !bundle(which);
  if (!useful.length) choice(which, "point").closest("label").hidden = true;
}

/** Add κ to a night's label; null removes it from all labels. */
export function label(id, kappa) {
  for (const option of nights.querySelectorAll("optgroup option")) {
    if (kappa === null) option.textContent = option.textContent.replace(/, Cohen's κ .*/, "");
    else if (option.value === id) option.textContent = `${id}, Cohen's κ ${kappa.toFixed(2)}`;
  }
}

/** Add the user's own nights to the list, by name, and choose the first. */
export function addOwn(names) {
  for (const name of names) {
    const value = `own:${name}`;
    nights.querySelector(`[value="${CSS.escape(value)}"]`)?.remove();
  }
  nights.prepend(...names.map((name) => element("option", { value: `own:${name}` }, name)));
  nights.value = `own:${names[0]}`;
}

/** Choose a night of the service; false if there is none of this name. */
export const chooseNight = (id) => Boolean(set(nights, id));
