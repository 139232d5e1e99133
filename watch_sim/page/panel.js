// The texts and tables next to the charts.

import { catalog, STAGES } from "./catalog.js";
import { capital, SENSORS } from "./names.js";
import { agreement, percent, runs, timeText } from "./numbers.js";
import * as service from "./service.js";

const $ = (id) => document.getElementById(id);
const TERMS = {
  TST: "Total sleep", SE: "Efficiency", SOL: "Onset latency", WASO: "Wake after onset",
  Wake: "Wake", N1: "N1", N2: "N2", N3: "N3", REM: "REM", "REM latency": "REM latency",
};

const SPEAK_MS = 3000; // between two announcements to screen readers
let lastSpoken = 0, spoken = "";

/** Have a screen reader announce a text. */
export function tell(text) {
  $("status").textContent = text;
  lastSpoken = performance.now();
}

/** Announce a stage when it changes, but not too often; atOnce: regardless of the last announcement. time: as text. */
export function speak(stage, time, atOnce) {
  const text = `${stage} at ${time}`;
  const again = spoken.startsWith(`${stage} `) || performance.now() - lastSpoken < SPEAK_MS;
  if (text !== spoken && (atOnce || !again)) tell((spoken = text));
}

/** An element with attributes and children (nodes or text). */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Replace the options of a select: [value, text] each, or [group, [[value, text]]]. */
export function fill(select, options) {
  const option = ([value, text]) => (Array.isArray(text) ? group(value, text) : element("option", { value }, text));
  const group = (label, members) => {
    const node = element("optgroup", {}, ...members.map(option));
    node.label = label;
    return node;
  };
  select.replaceChildren(...options.map(option));
}

/** Show an epoch (undefined: none yet): its stage, the end of its window, its probabilities and coverage. */
export function showNow(epoch, time) {
  $("stage").textContent = epoch?.stage ?? "–";
  $("stage").dataset.stage = epoch?.stage ?? "";
  $("clock").textContent = epoch ? `at ${time}` : "";
  if (!$("bars").children.length) {
    $("bars").append(...["Wake", "REM", "N1", "N2", "N3"].map((stage) => element(
      "li", { "data-stage": stage }, element("span", {}, stage), element("span", { class: "bar" }, element("b")),
      element("span"),
    )));
  }
  for (const item of $("bars").children) {
    const p = epoch?.probabilities?.[STAGES.indexOf(item.dataset.stage)] ?? null;
    item.querySelector("b").style.width = `${100 * p}%`;
    item.lastChild.textContent = p === null ? "" : `${Math.round(100 * p)} %`;
  }
  showCoverage(epoch?.coverage ?? {});
}

/** Show for each sensor its share of the last minutes, and the age of its newest value. */
function showCoverage(coverage) {
  const minutes = catalog.unknown.coverage_seconds / 60;
  const rows = Object.entries(coverage).map(([sensor, { share, secondsSince: since }]) => element(
    "li", { "data-sensor": sensor, ...(share ? {} : { class: "absent" }) },
    element("span", {}, capital(SENSORS[sensor])), element("span", {}, `${Math.round(100 * share)} %`),
    element("span", {}, since === null ? "never sensed" : `${agoText(since)} ago`),
  ));
  $("coverage").replaceChildren(...rows);
  $("coverage-title").textContent = `Sensed in the last ${minutes} min`;
  for (const id of ["coverage", "coverage-title"]) $(id).hidden = !rows.length;
}

/** Seconds as 12 s or, from two minutes on, 12 min. */
const agoText = (seconds) => (seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** Show the agreement between each two of {name: stages}. soFar: whether the night is still playing. */
export function showAgreement(stages, soFar) {
  const names = Object.keys(stages), rows = [];
  names.forEach((one, i) => names.slice(i + 1).forEach((other) => {
    const result = agreement(stages[one], stages[other]);
    if (result) {
      rows.push(element(
        "tr", {}, element("th", { scope: "row" }, `${one} – ${other}`), element("td", {}, percent(result.same)),
        element("td", {}, result.kappa.toFixed(2)),
      ));
    }
  }));
  for (const [id, title] of [["agreement-title", "Agreement"], ["statistics-title", "Sleep"]]) {
    $(id).textContent = soFar ? `${title} so far` : title;
  }
  $("agreement").hidden = !rows.length;
  $("agreement").querySelector("tbody").replaceChildren(...rows);
}

/** Show the night so far as a table, with a row for each run of windows in which all of {name: stages} stay the same. */
export function showRuns(stages, night) {
  const { start, stride } = night;
  const names = Object.keys(stages), n = Math.min(...names.map((name) => stages[name].length));
  const head = ["from", "to", "minutes", ...names].map((name) => element("th", { scope: "col" }, name));
  const together = Array.from({ length: n }, (_, k) => names.map((name) => stages[name][k] ?? "–").join());
  const time = (k) => timeText(night, start + k * stride);
  const rows = runs(together).map(({ stage, first, last }) => [
    time(first), time(last), ((last - first) * stride) / 60, ...stage.split(","),
  ]);
  const cells = (row) => element("tr", {}, ...row.map((value) => element("td", {}, String(value))));
  $("runs").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.map(cells)));
}

/** A name with line breaks allowed only between its parts. */
const unbroken = (name) => name.split(/(?<=,) /).flatMap((part) => [element("span", { class: "part" }, part), " "]);

let latest = 0; // number of the latest request
/** Show the sleep statistics of each of {name: stages (null: not scored)}, computed by the service. */
export async function showStatistics(stages) {
  const request = ++latest, names = Object.keys(stages);
  const results = await Promise.all(names.map((name) => service.statistics(stages[name])));
  if (request !== latest) return; // a newer request is in progress
  const head = [element("td"), ...names.map((name) => element("th", { scope: "col" }, ...unbroken(name)))];
  const rows = results[0].map(({ name, unit }, i) => element(
    "tr", {}, element("th", { scope: "row", title: name }, TERMS[name]),
    ...results.map((result) => element("td", {}, amount(result[i].value, unit))),
  ));
  $("statistics").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/** Clear the statistics, and ignore pending requests. */
export function noStatistics(text = "No predictions yet.") {
  latest++;
  $("statistics").replaceChildren(
    element("tbody", {}, element("tr", {}, element("td", {}, text))),
  );
}

function amount(value, unit) {
  if (value === null) return "–";
  if (unit !== "min") return `${value.toFixed(1)} ${unit}`;
  const minutes = value < 10 ? value : Math.round(value), hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${String(minutes % 60).padStart(2, "0")}` : `${Number(minutes.toFixed(1))} min`;
}
