// The words and tables beside the drawings.

import { agreement, clockText, percent, runs, STAGES } from "./numbers.js";
import * as service from "./service.js";

const $ = (id) => document.getElementById(id);
const TERMS = {
  TST: "Total sleep", SE: "Efficiency", SOL: "Onset latency", WASO: "Wake after onset",
  Wake: "Wake", N1: "N1", N2: "N2", N3: "N3", REM: "REM", "REM latency": "REM latency",
};

const SPEAK_MS = 3000; // between two stages said aloud
let lastSpoken = 0, spoken = "";

/** Have a screen reader say it. */
export function tell(words) {
  $("said").textContent = words;
  lastSpoken = performance.now();
}

/** Say a stage aloud when it changes, and not all too often; atOnce: whatever was said last. seconds: the time. */
export function speak(stage, seconds, atOnce) {
  const words = `${stage} at ${clockText(seconds)}`;
  const again = spoken.startsWith(`${stage} `) || performance.now() - lastSpoken < SPEAK_MS;
  if (words !== spoken && (atOnce || !again)) tell((spoken = words));
}

/** An element with attributes and children (nodes or text). */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Replace the options of a select: [value, text] each, or [group, [[value, text]]]. */
export function fill(select, options) {
  const option = ([value, words]) =>
    Array.isArray(words) ? group(value, words) : element("option", { value }, words);
  const group = (label, members) => {
    const made = element("optgroup", {}, ...members.map(option));
    made.label = label;
    return made;
  };
  select.replaceChildren(...options.map(option));
}

/** The stage now (null: none yet), when it began, and its probabilities. */
export function showNow(epoch, seconds) {
  $("stage").textContent = epoch?.stage ?? "–";
  $("stage").dataset.stage = epoch?.stage ?? "";
  $("clock").textContent = epoch ? clockText(seconds) : "";
  if (!$("bars").children.length) {
    $("bars").append(...["Wake", "REM", "N1", "N2", "N3"].map((stage) => element(
      "li", { "data-stage": stage }, element("span", {}, stage), element("span", { class: "bar" }, element("b")),
      element("span"),
    )));
  }
  for (const item of $("bars").children) {
    const p = epoch?.probabilities[STAGES.indexOf(item.dataset.stage)] ?? 0;
    item.querySelector("b").style.width = `${100 * p}%`;
    item.lastChild.textContent = epoch ? `${Math.round(100 * p)} %` : "";
  }
}

/** Agreement between each two of {name: stages}. */
export function showAgreement(said) {
  const names = Object.keys(said), rows = [];
  names.forEach((one, i) => names.slice(i + 1).forEach((other) => {
    const found = agreement(said[one], said[other]);
    if (found) {
      rows.push(element(
        "tr", {}, element("th", { scope: "row" }, `${one} – ${other}`), element("td", {}, percent(found.same)),
        element("td", {}, found.kappa.toFixed(2)),
      ));
    }
  }));
  $("agreement").hidden = !rows.length;
  $("agreement").querySelector("tbody").replaceChildren(...rows);
}

/** The table of the night so far, a line for each time in which all of {name: stages} stay what they are. */
export function showRuns(said, { start, stride }) {
  const names = Object.keys(said), n = Math.min(...names.map((name) => said[name].length));
  const head = ["from", "to", "minutes", ...names].map((name) => element("th", { scope: "col" }, name));
  const together = Array.from({ length: n }, (_, k) => names.map((name) => said[name][k] ?? "–").join());
  const rows = runs(together).map(({ stage, first, last }) => [
    ...[first, last].map((k) => clockText(start + k * stride)), ((last - first) * stride) / 60, ...stage.split(","),
  ]);
  const cells = (row) => element("tr", {}, ...row.map((value) => element("td", {}, String(value))));
  $("runs").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.map(cells)));
}

let asked = 0;
/** The sleep statistics of each of {name: stages (null: unscored)}, as the service works them out. */
export async function showStatistics(said) {
  const mine = ++asked, names = Object.keys(said);
  const found = await Promise.all(names.map((name) => service.statistics(said[name])));
  if (mine !== asked) return; // newer ones are on their way
  const head = [element("td"), ...names.map((name) => element("th", { scope: "col" }, name))];
  const rows = found[0].map(({ name, unit }, i) => element(
    "tr", {}, element("th", { scope: "row", title: name }, TERMS[name]),
    ...found.map((one) => element("td", {}, amount(one[i].value, unit))),
  ));
  $("statistics").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/** Empties the statistics, and drops those on their way. */
export function noStatistics(words = "Play a night to see its statistics.") {
  asked++;
  $("statistics").replaceChildren(
    element("tbody", {}, element("tr", {}, element("td", {}, words))),
  );
}

function amount(value, unit) {
  if (value === null) return "–";
  if (unit !== "min") return `${value.toFixed(1)} ${unit}`;
  const minutes = value < 10 ? value : Math.round(value), hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${String(minutes % 60).padStart(2, "0")}` : `${Number(minutes.toFixed(1))} min`;
}
