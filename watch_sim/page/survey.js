// Cohen's κ of the listed nights, and the one with the median κ, on which the page opens.

import { catalog } from "./catalog.js";
import { fromService } from "./nights.js";
import { agreement } from "./numbers.js";
import { Track } from "./player.js";
import * as service from "./service.js";

const MOST_FIRST = 9; // nights for the median, computed before anything is shown
const MOST = 60; // nights to label with κ
const PAUSE_MS = 50;
const nights = new Map(); // id -> promise of a night
const predicted = new Map(); // "id architecture precision" -> windows of a whole night, as in Track
let latest = 0; // number of the latest survey

/** A night of the service; loaded once. */
export function load(id) {
  if (!nights.has(id)) {
    const loading = service.night(id).then((night) => fromService(night, catalog));
    loading.catch(() => nights.delete(id));
    nights.set(id, loading);
  }
  return nights.get(id);
}

/** A model's windows of a whole night, if a survey has predicted them, else []. */
export const windowsOf = (night, architecture, precision) =>
  (!night.own && predicted.get(`${night.name} ${architecture} ${precision}`)) || [];

/** κ of a model over a night; null if nothing is scored. wait: async, called between slices of work. */
async function kappaOf(id, { architecture, precision, weights }, wait) {
  const night = await load(id);
  if (!night.stages) return null;
  const track = await Track.open(night, architecture, precision, windowsOf(night, architecture, precision));
  try {
    while (track.windows.length < night.windows) {
      await wait();
      await track.upTo(Infinity, performance.now() + 15);
    }
    predicted.set(`${night.name} ${architecture} ${precision}`, track.windows);
    const stages = track.windows.map((_, k) => track.epoch(k, weights).stage);
    return agreement(stages, night.stages)?.kappa ?? null;
  } finally {
    track.close();
  }
}

const moment = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

/** The id of the night to open on, for a model. Arguments as in `medianOf`. */
export function medianNight(offered, order, model, told, progress) {
  const kappa = (id, next) => {
    if (next) load(next).catch(() => {}); // an error is reported when its turn comes
    return kappaOf(id, model, moment);
  };
  return medianOf(offered, order, kappa, told, progress);
}

/**
 * The id of the night with the median κ among those of the first part in `order` that has scored nights (held-out nights
 * first). offered: the service's list of nights. kappa: async, takes an id and the next one. Calls told(id, κ) and
 * progress(i, n) on the way.
 */
export async function medianOf(offered, order, kappa, told, progress) {
  const scored = offered.filter(({ labels }) => labels);
  const part = order.find((name) => scored.some((night) => String(night.part) === name));
  const all = scored.filter((night) => String(night.part) === part), n = Math.min(all.length, MOST_FIRST);
  const some = Array.from({ length: n }, (_, i) => all[Math.floor((i * all.length) / n)].id), found = [];
  for (const [i, id] of some.entries()) {
    progress(i + 1, n);
    const value = await kappa(id, some[i + 1]).catch(() => null); // skips unusable nights
    if (value === null) continue;
    told(id, value);
    found.push([value, id]);
  }
  found.sort(([a], [b]) => a - b);
  return found[(found.length - 1) >> 1]?.[1] ?? offered[0].id;
}

/** Compute κ of every scored night, one by one while idle() is true, and call told(id, κ); stops at the next survey. */
export async function survey(offered, model, idle, told) {
  const request = ++latest;
  const wait = async () => {
    do await moment(PAUSE_MS); while (!idle() && request === latest);
    if (request !== latest) throw new Error("another survey has begun");
  };
  for (const { id } of offered.filter(({ labels }) => labels).slice(0, MOST)) {
    const kappa = await kappaOf(id, model, wait).catch(() => null);
    if (request !== latest) return;
    if (kappa !== null) told(id, kappa);
  }
}
