// The page: plays a night, and shows what the models predict of it so far.

import { catalog, loadCatalog, STAGES, UNKNOWN } from "./catalog.js";
import * as choices from "./choices.js";
import * as exporting from "./export.js";
import { fromCsv, fromService } from "./nights.js";
import { clockText, percent } from "./numbers.js";
import * as panel from "./panel.js";
import { Track } from "./player.js";
import * as plots from "./plots.js";
import * as service from "./service.js";

const $ = (id) => document.getElementById(id);
const FRAME_MS = 12; // that the models may take of a frame
const LONGEST_FRAME_S = 0.25; // a page in the background does not jump ahead
const STATISTICS_MS = 1500; // between two questions while playing
const MOST_BYTES = 5e7; // of a CSV
const steady = matchMedia("(prefers-reduced-motion: reduce)");

let night = null, opening = 0, range = null, highest = 1;
const slots = { model: emptySlot(), other: emptySlot() };
let position = 0; // windows played, with what has passed of the next
let playing = false, awake = false, loading = 0, pointed = null;
let lastFrame = 0, lastStatistics = 0; // ms of performance.now

/** A model that is shown: its track, and its epochs, weighed by an operating point. */
function emptySlot() {
  return { track: null, name: "", weights: null, epochs: [], opening: 0 };
}

const loaded = () => Object.values(slots).filter((slot) => slot.track);

/** A slot's epochs of the first n windows, as far as they are predicted. */
function epochsOf(slot, n = Math.floor(position)) {
  const predicted = Math.min(n, slot.track?.windows.length ?? 0);
  while (slot.epochs.length < predicted) slot.epochs.push(slot.track.epoch(slot.epochs.length, slot.weights));
  return slot.epochs.slice(0, n);
}

function fail(error) {
  setPlaying(false);
  $("problem").textContent = error.message ?? String(error);
  $("problem").hidden = false;
}

/** Do work that the page waits for. */
async function during(work) {
  loading++;
  showBusy();
  try {
    return await work();
  } finally {
    loading--;
    showBusy();
  }
}

function showBusy() {
  document.querySelector("main").setAttribute("aria-busy", String(loading > 0 || (awake && !playing)));
}

// nights and models

async function begin() {
  const [data] = await Promise.all([service.nights(), loadCatalog()]);
  $("run").textContent = `${catalog.run} · ${data.dataset_dir.split(/[\\/]/).pop()}`;
  choices.prepare(catalog.bundles, data.nights, (which) => during(() => openTrack(which)), weigh);
  await openNight($("night").value);
}

/** Show a night of the service. */
async function openNight(id) {
  const request = ++opening;
  const opened = fromService(await service.night(id), catalog);
  if (request === opening) await show(opened);
}

/** Show the user's own night. */
async function openCsv(file) {
  const request = ++opening;
  try {
    if (file.size > MOST_BYTES) throw new Error(`larger than ${MOST_BYTES / 1e6} MB`);
    const own = fromCsv(await file.text(), file.name, catalog);
    if (request !== opening) return;
    choices.addOwn(own.name);
    if (own.clock) exporting.setClock(own.clock);
    await show(own);
  } catch (error) {
    fail(new Error(`${file.name}: ${error.message}`));
  }
}

async function show(chosen) {
  setPlaying(false);
  [night, position, pointed, range] = [chosen, 0, null, plots.heartRange(chosen)];
  highest = chosen.movement.reduce((most, [, value]) => Math.max(most, value), 1e-3);
  $("movement-unit").textContent = chosen.movementOf;
  $("place").max = chosen.windows;
  $("overlay").disabled = !chosen.stages;
  const trained = chosen.part === "train" ? ["The run was trained on this night: agreement flatters."] : [];
  $("note").textContent = [...trained, ...chosen.notes].join(" ");
  $("note").hidden = !$("note").textContent;
  panel.noStatistics();
  await Promise.all(Object.keys(slots).map(openTrack));
}

/** Load the chosen model, and have it predict the night up to the place that is played. */
async function openTrack(which) {
  const slot = slots[which], request = ++slot.opening, { architecture, precision } = choices.chosen(which);
  slot.track?.close();
  slot.track = null;
  $("problem").hidden = true;
  ready();
  showSimulated();
  if (!architecture) return wake();
  try {
    const track = await Track.open(night, architecture, precision);
    if (request !== slot.opening) return track.close(); // another was chosen meanwhile
    slot.track = track;
    showSimulated();
    weigh(which);
  } catch (error) {
    if (request === slot.opening) fail(new Error(`${architecture} ${precision}: ${error.message}`));
  }
  ready();
}

/** A banner that names the models that are trained on simulated nights. */
function showSimulated() {
  const simulated = loaded().map(({ track }) => track.stager).filter((stager) => stager.simulated);
  const names = [...new Set(simulated.map(({ contract }) => contract.architecture))].join(" and ");
  $("simulated").hidden = !names;
  $("simulated").textContent = `${names}: trained on simulated nights; the stages say nothing about people.`;
}

function weigh(which) {
  const { architecture, precision, point, weights, bytes } = choices.chosen(which);
  const name = [architecture, precision, point].filter(Boolean).join(" ");
  Object.assign(slots[which], { name, weights, bytes, epochs: [] });
  wake();
}

// playing

function ready() {
  for (const id of ["play", "restart", "place"]) $(id).disabled = !slots.model.track;
}

function setPlaying(on) {
  if (on && position >= night.windows) position = 0;
  playing = on;
  $("play").textContent = on ? "Pause" : "Play";
  if (on) wake();
}

function wake() {
  if (awake || !night) return;
  awake = true;
  showBusy();
  lastFrame = performance.now();
  requestAnimationFrame(frame);
}

/** One frame: the models run on for a moment, then everything is drawn. */
async function frame() {
  const now = performance.now(), passed = Math.min((now - lastFrame) / 1000, LONGEST_FRAME_S);
  lastFrame = now;
  const from = position, played = night, advances = playing && !loading;
  const target = advances ? Math.min(from + ahead(passed), night.windows) : from;
  for (const slot of loaded()) {
    const track = slot.track;
    try {
      await track.upTo(Math.floor(target), performance.now() + FRAME_MS / loaded().length);
    } catch (error) {
      track.close();
      if (slot.track === track) slot.track = null;
      ready();
      fail(error);
    }
  }
  const reached = Math.min(...loaded().map(({ track }) => track.windows.length));
  if (advances && playing && position === from && night === played) { // nobody has moved it meanwhile
    position = reached < Math.floor(target) ? Math.max(from, reached) : target;
    if (position >= night.windows) setPlaying(false);
  }
  render();
  awake = playing || reached < Math.floor(position);
  showBusy();
  if (awake) requestAnimationFrame(frame);
  else settled();
}

/** Windows that pass in so many seconds of playing. */
function ahead(passed) {
  const speed = Number($("speed").value);
  return Number.isFinite(speed) ? (passed * speed) / night.stride : night.windows;
}

/** Announce what is shown, once nothing moves any more. */
function settled() {
  const epoch = epochsOf(slots.model).at(-1);
  if (epoch) panel.speak(epoch.stage, endOf(slots.model), true);
  askStatistics();
}

/** When the last predicted window of a slot ended, s. */
const endOf = (slot) => night.start + epochsOf(slot).length * night.stride;

// what is shown

function render() {
  const now = night.start + (steady.matches ? Math.floor(position) : position) * night.stride, marks = { now, pointed };
  const scored = $("overlay").checked ? night.stages : null, epochs = epochsOf(slots.model), epoch = epochs.at(-1);
  plots.drawHeart($("heart"), night, now, range);
  plots.drawMovement($("movement"), night, now, highest);
  plots.drawProbabilities($("probabilities"), night, epochs, marks);
  showHypnogram("hypnogram", slots.model, scored, marks);
  $("second").hidden = !slots.other.track;
  if (slots.other.track) showHypnogram("hypnogram-2", slots.other, scored, marks);
  $("probabilities-of").textContent = slots.model.name;
  $("key").hidden = !scored;
  $("unknown-key").hidden = !loaded().some((slot) => epochsOf(slot).some(({ stage }) => stage === UNKNOWN));
  panel.showNow(epoch, endOf(slots.model));
  panel.showAgreement(columns(epochs.length));
  $("place").value = Math.floor(position);
  $("place").setAttribute("aria-valuetext", `${clockText(endOf(slots.model))}${epoch ? `, ${epoch.stage}` : ""}`);
  showPointed(epochs[pointed], scored?.[pointed]);
  if ($("as-table").open) panel.showRuns(columns(epochs.length), night);
  if (epoch) panel.speak(epoch.stage, endOf(slots.model), false);
  if (playing && performance.now() - lastStatistics > STATISTICS_MS) askStatistics();
}

function showHypnogram(id, slot, scored, marks) {
  const stages = epochsOf(slot).map(({ stage }) => stage), minutes = Math.round((stages.length * night.stride) / 60);
  plots.drawHypnogram($(id), night, stages, scored, marks);
  $(`${id}-of`).textContent = slot.track ? `${slot.name}, ${Math.round(slot.bytes / 1000)} kB` : "";
  const now = stages.length ? `, now ${stages.at(-1)}` : "";
  $(id).setAttribute("aria-label", `Hypnogram of ${slot.name}: ${minutes} minutes${now}. As a table below.`);
}

/** {name: stages} of the first n windows: of the models and, if it is shown, of the scoring. */
function columns(n) {
  const out = {};
  for (const slot of loaded()) {
    const name = slot.name in out ? `${slot.name} again` : slot.name;
    out[name] = epochsOf(slot, n).map(({ stage }) => stage);
  }
  return $("overlay").checked && night.stages ? { ...out, scored: night.stages.slice(0, n) } : out;
}

function showPointed(epoch, scored) {
  const share = (stage, i) => `${stage} ${percent(epoch.probabilities[i])}`;
  const shares = epoch?.probabilities ? ` (${STAGES.map(share).join(", ")})` : "";
  const at = clockText(night.start + pointed * night.stride);
  $("readout").textContent = epoch ? `${at} · ${epoch.stage}${shares}${scored ? ` · scored ${scored}` : ""}` : "";
}

/** Sleep statistics; where the scoring is shown, of the scored epochs only, in every column. */
async function askStatistics() {
  lastStatistics = performance.now();
  const n = Math.min(...loaded().map((slot) => epochsOf(slot).length));
  const all = columns(n), scored = all.scored ?? Array(loaded().length && n).fill("all");
  if (!scored.some(Boolean)) return panel.noStatistics(n ? "Nothing is scored so far." : undefined);
  const first = scored.findIndex(Boolean), last = scored.findLastIndex(Boolean) + 1;
  const counted = (stages) => stages.map((stage, k) => (scored[k] ? stage : null)).slice(first, last);
  const withStages = Object.entries(all).map(([name, stages]) => [name, counted(stages)])
    .filter(([, stages]) => stages.some((stage) => STAGES.includes(stage)));
  if (!withStages.length) return panel.noStatistics("The stage is unknown so far.");
  try {
    await panel.showStatistics(Object.fromEntries(withStages));
  } catch (error) {
    fail(error);
  }
}

// what the user does

$("night").addEventListener("change", () => $("night").value && during(() => openNight($("night").value)).catch(fail));
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files[0]) during(() => openCsv($("file").files[0]));
  $("file").value = "";
});
$("play").addEventListener("click", () => setPlaying(!playing));
$("restart").addEventListener("click", () => moveTo(0));
$("place").addEventListener("input", () => moveTo(Number($("place").value)));
$("overlay").addEventListener("change", wake);
$("as-table").addEventListener("toggle", wake);
addEventListener("theme", wake);
addEventListener("resize", wake);
for (const canvas of document.querySelectorAll("canvas.whole")) {
  const point = (window) => {
    pointed = window;
    wake();
  };
  canvas.addEventListener("pointermove", (event) => night && point(plots.windowAt(canvas, night, event.clientX)));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("click", () => pointed !== null && slots.model.track && moveTo(pointed + 1));
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0] && catalog) during(() => openCsv(event.dataTransfer.files[0]));
});

function moveTo(window) {
  position = window;
  wake();
}

exporting.prepare(async () => {
  const slot = slots.model;
  if (!slot.track) throw new Error("no model is loaded yet");
  await slot.track.finish();
  return { night, name: slot.name, epochs: epochsOf(slot, night.windows) };
}, panel.tell, fail);

during(begin).catch(fail);
