// The models that are shown, "model" and the one that it is compared with, each with its track and its epochs.

import { Track } from "./player.js";

export const slots = { model: empty(), other: empty() };

/** A model that is shown: its track, and its epochs, weighed by an operating point. */
function empty() {
  return { track: null, name: "", weights: null, bytes: null, epochs: [], opening: 0 };
}

export const loaded = () => Object.values(slots).filter((slot) => slot.track);

/** A slot's epochs of the first n windows, as far as they are predicted. */
export function epochsOf(slot, n) {
  const predicted = Math.min(n, slot.track?.windows.length ?? 0);
  while (slot.epochs.length < predicted) slot.epochs.push(slot.track.epoch(slot.epochs.length, slot.weights));
  return slot.epochs.slice(0, n);
}

/** {name: stages} of the first n windows: of the models and, if scored is given, of the scoring. */
export function columns(n, scored) {
  const out = {};
  for (const slot of loaded()) {
    const name = slot.name in out ? `${slot.name} again` : slot.name;
    out[name] = epochsOf(slot, n).map(({ stage }) => stage);
  }
  return scored ? { ...out, Scored: scored.slice(0, n) } : out;
}

/** Load a model into a slot, in place of the one there. Gives false where another was asked for meanwhile. */
export async function load(which, night, { architecture, precision }, windows) {
  const slot = slots[which], request = ++slot.opening;
  slot.track?.close();
  slot.track = null;
  if (!architecture) return true;
  let track;
  try {
    track = await Track.open(night, architecture, precision, windows);
  } catch (error) {
    if (request !== slot.opening) return false;
    throw error;
  }
  if (request !== slot.opening) {
    track.close();
    return false;
  }
  slot.track = track;
  return true;
}

/** Name a slot's model, and weigh its probabilities. */
export function weigh(which, { name, weights, bytes }) {
  Object.assign(slots[which], { name, weights, bytes, epochs: [] });
}
