// The models shown, "model" and the "other" it is compared with, each with its track and epochs.

import { Track } from "./player.js";

export const slots = { model: empty(), other: empty() };

/** A slot: a model's track, and its epochs, weighted by an operating point. */
function empty() {
  return { track: null, name: "", weights: null, bytes: null, epochs: [], opening: 0 };
}

export const loaded = () => Object.values(slots).filter((slot) => slot.track);

/** A slot's epochs for the first n windows, as far as they are predicted. */
export function epochsOf(slot, n) {
  const predicted = Math.min(n, slot.track?.windows.length ?? 0);
  while (slot.epochs.length < predicted) slot.epochs.push(slot.track.epoch(slot.epochs.length, slot.weights));
  return slot.epochs.slice(0, n);
}

/** {name: stages} for the first n windows: of the models and, if `scored` is given, the scored stages. */
export function columns(n, scored) {
  const out = {};
  for (const slot of loaded()) {
    const name = slot.name in out ? `${slot.name} (2)` : slot.name;
    out[name] = epochsOf(slot, n).map(({ stage }) => stage);
  }
  return scored ? { ...out, Scored: scored.slice(0, n) } : out;
}

/** Load a model into a slot, replacing the current one. Returns false if another was requested meanwhile. */
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

/** Set a slot's model name, and weight its probabilities. */
export function weigh(which, { name, weights, bytes }) {
  Object.assign(slots[which], { name, weights, bytes, epochs: [] });
}
