// Shows the current state of a night: charts, tables and text. view: main.js's state.

import { STAGES, UNKNOWN } from "./catalog.js";
import { percent, timeText } from "./numbers.js";
import * as panel from "./panel.js";
import * as plots from "./plots.js";
import { columns, epochsOf, loaded, slots } from "./slots.js";

const $ = (id) => document.getElementById(id);
const STATISTICS_MS = 1500; // between two requests while playing
const steady = matchMedia("(prefers-reduced-motion: reduce)");
let range = [50, 90], highest = 1, lastStatistics = 0, asking = false;

const scoredOf = ({ night }) => ($("overlay").checked ? night.stages : null);
const epochsSoFar = (view, slot) => epochsOf(slot, Math.floor(view.position));
/** End of a slot's last predicted window, as text. */
function endOf(view, slot) {
  const { start, stride } = view.night;
  return timeText(view.night, start + epochsSoFar(view, slot).length * stride);
}

/** Prepare for another night. */
export function begin(night) {
  document.querySelector("main").classList.remove("opening");
  range = plots.heartRange(night);
  highest = night.movement.reduce((most, [, value]) => Math.max(most, value), 1e-3);
  $("movement-unit").textContent = night.movementOf;
  $("place").max = night.windows;
  $("overlay").disabled = !night.stages;
  $("scored-is").style.visibility = night.stages ? "" : "hidden"; // grey is something else there
  showNotes(night);
  panel.noStatistics("…");
}

/** Show notes on a night. findings: on its sensors' units. */
export function showNotes(night, findings = []) {
  const trained = night.part === "train" ? ["The run was trained on this night, so agreement is too optimistic."] : [];
  const notes = [...trained, ...night.notes, ...findings].map((text) => panel.element("li", {}, text));
  $("note").replaceChildren(...notes);
  $("note").hidden = !notes.length;
}

/** Draw the night up to the current position. */
export function render(view) {
  const { night, position, pointed } = view, scored = scoredOf(view), main = slots.model;
  const now = night.start + (steady.matches ? Math.floor(position) : position) * night.stride, marks = { now, pointed };
  const epochs = epochsSoFar(view, main), epoch = epochs.at(-1), soFar = position < night.windows;
  showHypnogram(view, "hypnogram", main, scored, marks);
  $("second").hidden = !slots.other.track;
  if (slots.other.track) showHypnogram(view, "hypnogram-2", slots.other, scored, marks);
  plots.drawProbabilities($("probabilities"), night, epochs, marks);
  plots.drawHeart($("heart"), night, range, marks);
  plots.drawMovement($("movement"), night, highest, marks);
  $("probabilities-of").textContent = main.name;
  for (const id of ["key", "differs-key"]) $(id).hidden = !scored;
  const unknown = loaded().some((slot) => epochsSoFar(view, slot).some(({ stage }) => stage === UNKNOWN));
  $("unknown-key").hidden = !unknown && !Object.values(night.absent).some((gaps) => gaps.length);
  panel.showNow(epoch, endOf(view, main));
  panel.showAgreement(columns(epochs.length, scored), soFar);
  $("place").value = Math.floor(position);
  $("place").setAttribute("aria-valuetext", `${endOf(view, main)}${epoch ? `, ${epoch.stage}` : ""}`);
  $("whole").disabled = !main.track || !soFar;
  showPointed(night, pointed, epochs[pointed], scored?.[pointed]);
  if ($("as-table").open) panel.showRuns(columns(epochs.length, scored), night);
  if (epoch) panel.speak(epoch.stage, endOf(view, main), false);
  if (view.playing && !asking && performance.now() - lastStatistics > STATISTICS_MS) askStatistics(view);
}

function showHypnogram(view, id, slot, scored, marks) {
  const { night } = view, stages = epochsSoFar(view, slot).map(({ stage }) => stage);
  plots.drawHypnogram($(id), night, stages, scored, marks);
  $(`${id}-of`).textContent = slot.track ? `${slot.name}, ${Math.round(slot.bytes / 1000)} kB` : "";
  const now = stages.length ? `, last stage ${stages.at(-1)}` : "";
  const minutes = Math.round((stages.length * night.stride) / 60);
  $(id).setAttribute("aria-label", `Hypnogram of ${slot.name}: ${minutes} minutes${now}. As a table below.`);
}

function showPointed(night, pointed, epoch, scored) {
  const share = (stage, i) => `${stage} ${percent(epoch.probabilities[i])}`;
  const shares = epoch?.probabilities ? ` (${STAGES.map(share).join(", ")})` : "";
  const at = timeText(night, night.start + pointed * night.stride);
  $("readout").textContent = epoch ? `${at} · ${epoch.stage}${shares}${scored ? ` · scored ${scored}` : ""}` : "";
}

/** Announce what is shown, once playing has stopped. */
export function settled(view) {
  const epoch = epochsSoFar(view, slots.model).at(-1);
  if (epoch) panel.speak(epoch.stage, endOf(view, slots.model), true);
  if (view.night.own && slots.model.track) showNotes(view.night, slots.model.track.stager.findings);
  return askStatistics(view);
}

/** Show sleep statistics; if scored stages are shown, every column covers the scored epochs only. */
async function askStatistics(view) {
  lastStatistics = performance.now();
  if (!loaded().length) return panel.noStatistics();
  const n = Math.min(...loaded().map((slot) => epochsSoFar(view, slot).length));
  const all = columns(n, scoredOf(view)), scored = all.Scored ?? Array(n).fill("all");
  if (!scored.some(Boolean)) return panel.noStatistics(n ? "No scored epochs so far." : undefined);
  const first = scored.findIndex(Boolean), last = scored.findLastIndex(Boolean) + 1;
  const counted = (stages) => stages.map((stage, k) => (scored[k] ? stage : null)).slice(first, last);
  const withStages = Object.entries(all).map(([name, stages]) => [name, counted(stages)])
    .filter(([, stages]) => stages.some((stage) => STAGES.includes(stage)));
  if (!withStages.length) return panel.noStatistics("The stage is unknown so far.");
  asking = true;
  await panel.showStatistics(Object.fromEntries(withStages)).finally(() => (asking = false));
}
