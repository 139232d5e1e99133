// The page: opens nights, and plays them through the models.

import { readChoices, writeChoices } from "./address.js";
import { catalog, loadCatalog } from "./catalog.js";
import * as choices from "./choices.js";
import { prepareDrop, readSample } from "./drop.js";
import * as exporting from "./export.js";
import { loadLitert } from "./litert/ready.js";
import { PARTS } from "./names.js";
import { windowAt } from "./plots.js";
import * as service from "./service.js";
import * as show from "./show.js";
import { epochsOf, load, loaded, slots, weigh } from "./slots.js";
import * as surveys from "./survey.js";

const $ = (id) => document.getElementById(id);
const FRAME_MS = 12; // for the models per frame
const DRAW_MS = 200; // between two drawings while the models catch up
const LONGEST_FRAME_S = 0.25; // so that a page in the background does not jump ahead

/** What is shown: the night, the position in windows (with a fraction), and the window under the pointer. */
const view = { night: null, position: 0, playing: false, pointed: null };
const own = new Map(); // name -> the user's night
let offered = []; // the service's nights
let surveyed = ""; // the model whose κ is in the nights' labels
let opening = 0, awake = false, loading = 0, lastFrame = 0, lastDrawn = 0; // the last two: ms of performance.now

function fail(error) {
  setPlaying(false);
  $("problem").textContent = error.message ?? String(error);
  $("problem").hidden = false;
}

/** Do work while the page shows that it is busy; shows errors. */
async function during(work) {
  loading++;
  showBusy();
  try {
    return await work();
  } catch (error) {
    fail(error);
  } finally {
    loading--;
    showBusy();
  }
}

function showBusy() {
  document.querySelector("main").setAttribute("aria-busy", String(loading > 0 || (awake && !view.playing)));
}

// nights and models

async function begin() {
  loadLitert().catch(() => {}); // in parallel; loading a model reports the error
  const address = readChoices(), [data] = await Promise.all([service.nights(), loadCatalog()]);
  offered = data.nights;
  $("run").textContent = [catalog.run, data.dataset_dir.split(/[\\/]/).pop()].filter(Boolean).join(" · ");
  choices.prepare(catalog.bundles, offered, (which) => during(() => openTrack(which)), (which) => weighed(which));
  for (const which of Object.keys(slots)) choices.choose(which, address[which]);
  if ([...$("speed").options].some(({ value }) => value === address.speed)) $("speed").value = address.speed;
  $("overlay").checked = address.scored;
  if (!offered.length) return openOwn([await readSample()]); // a bundle without nights
  if (!choices.chooseNight(address.night)) {
    choices.chooseNight(await medianNight());
    if (address.night) address.missing = `This data set has no night ${address.night}; showing another one.`;
  }
  await openNight($("night").value, address.at);
  if (address.missing) fail(new Error(address.missing));
}

function medianNight() {
  const progress = (i, n) => ($("progress").textContent = `Computing night ${i} of ${n} …`);
  return surveys.medianNight(offered, Object.keys(PARTS), choices.chosen("model"), choices.label, progress);
}

/** Label every night with its κ for the chosen model, while the page is idle. */
function survey() {
  const model = choices.chosen("model");
  if (model.name === surveyed) return;
  if (surveyed) choices.label(null, null);
  surveyed = model.name;
  const idle = () => !view.playing && !awake && !loading && !document.hidden;
  surveys.survey(offered, model, idle, choices.label);
}

/** Show a night by its name in the list, up to window `at`, by default the whole night. */
async function openNight(name, at = null) {
  const request = ++opening;
  const night = own.get(name) ?? (await surveys.load(name));
  if (request === opening) await showNight(night, at);
}

/** Add the user's own nights to the list, and show the first. */
async function openOwn(nights) {
  for (const night of nights) own.set(`own:${night.name}`, night);
  choices.addOwn(nights.map(({ name }) => name));
  opening++;
  await showNight(nights[0]);
}

async function showNight(night, at = null) {
  setPlaying(false);
  Object.assign(view, { night, position: Math.min(at ?? night.windows, night.windows), pointed: null });
  show.begin(night);
  exporting.setClock(night.clock);
  await Promise.all(Object.keys(slots).map(openTrack));
}

/** Load the chosen model, and predict the night up to the current position. */
async function openTrack(which) {
  const choice = choices.chosen(which), { architecture, precision } = choice, { night } = view;
  $("problem").hidden = true;
  $("progress").textContent = "";
  const loadingTrack = load(which, night, choice, surveys.windowsOf(night, architecture, precision));
  ready();
  try {
    if (await loadingTrack) weighed(which);
  } catch (error) {
    fail(new Error(`${choice.name}: ${error.message}`));
  }
  showSimulated();
  ready();
}

/** Show a banner naming the models that were trained on simulated nights. */
function showSimulated() {
  const simulated = Object.keys(slots).filter((which) => slots[which].track?.stager.simulated);
  const names = [...new Set(simulated.map((which) => choices.chosen(which).name))].join("; ");
  $("simulated").hidden = !names;
  $("simulated").textContent = `Trained on simulated nights: ${names}. The stages say nothing about people.`;
}

function weighed(which) {
  const choice = choices.chosen(which);
  weigh(which, choice);
  $(`${which}-name`).textContent = choice.name;
  if (which === "model") survey();
  wake();
}

// playing

function ready() {
  for (const id of ["play", "place"]) $(id).disabled = !slots.model.track;
}

function setPlaying(on) {
  if (on && view.position >= view.night.windows) view.position = 0;
  view.playing = on;
  if (on) wake();
  nameButton();
}

function nameButton() {
  const whole = !view.night || view.position >= view.night.windows || view.position === 0;
  $("play").textContent = view.playing ? "Pause" : whole ? "Replay live" : "Play";
}

function wake() {
  if (awake || !view.night) return;
  awake = true;
  showBusy();
  lastFrame = performance.now();
  requestAnimationFrame(frame);
}

/** One frame: run the models for a moment, then draw everything. */
async function frame() {
  const now = performance.now(), passed = Math.min((now - lastFrame) / 1000, LONGEST_FRAME_S);
  lastFrame = now;
  const { position: from, night: played } = view, advances = view.playing && !loading;
  const target = advances ? Math.min(from + ahead(passed), played.windows) : from;
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
  if (advances && view.playing && view.position === from && view.night === played) { // the user has not moved it meanwhile
    view.position = reached < Math.floor(target) ? Math.max(from, reached) : target;
    if (view.position >= played.windows) setPlaying(false);
  }
  awake = view.playing || reached < Math.floor(view.position);
  if (view.playing || !awake || now - lastDrawn > DRAW_MS) {
    show.render(view);
    lastDrawn = now;
  }
  nameButton();
  showBusy();
  if (awake) return requestAnimationFrame(frame);
  keepChoices();
  show.settled(view).catch(fail);
}

/** Number of windows played in `passed` seconds. */
function ahead(passed) {
  const speed = Number($("speed").value);
  return Number.isFinite(speed) ? (passed * speed) / view.night.stride : view.night.windows;
}

function keepChoices() {
  const { night } = view, place = Math.floor(view.position), speed = $("speed").value;
  writeChoices({
    night: night.own ? null : night.name, model: choices.chosen("model"), other: choices.chosen("other"),
    speed: speed === $("speed").querySelector("[selected]").value ? null : speed,
    at: place < night.windows ? place : null, scored: $("overlay").checked,
  });
}

// user input

function moveTo(window) {
  view.position = window;
  wake();
}

$("night").addEventListener("change", () => during(() => openNight($("night").value)));
$("play").addEventListener("click", () => setPlaying(!view.playing));
$("whole").addEventListener("click", () => {
  setPlaying(false);
  moveTo(view.night.windows);
});
$("place").addEventListener("input", () => moveTo(Number($("place").value)));
for (const id of ["overlay", "speed"]) $(id).addEventListener("change", wake);
$("as-table").addEventListener("toggle", wake);
for (const name of ["theme", "resize"]) addEventListener(name, wake);
for (const canvas of document.querySelectorAll("canvas.whole")) {
  const point = (window) => {
    view.pointed = window;
    wake();
  };
  canvas.addEventListener("pointermove", (event) => view.night && point(windowAt(canvas, view.night, event.clientX)));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("click", () => view.pointed !== null && slots.model.track && moveTo(view.pointed + 1));
}

prepareDrop((nights) => openOwn(nights), during);
exporting.prepare(async () => {
  const slot = slots.model, { architecture, precision, point } = choices.chosen("model");
  if (!slot.track) throw new Error("no model is loaded yet");
  await slot.track.finish();
  const file = [architecture, precision, point].filter(Boolean).join(".");
  return { night: view.night, name: slot.name, file, epochs: epochsOf(slot, view.night.windows) };
}, fail);

during(begin);
