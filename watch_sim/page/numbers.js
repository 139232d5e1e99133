// Agreement and runs of stages, and numbers as text.

import { STAGES } from "./catalog.js";

/** {n, same (share), kappa} of two lists of stages, over the windows with a stage in both; null if there are none. */
export function agreement(one, other) {
  const both = one.map((stage, i) => [stage, other[i]]).filter((pair) => pair.every((stage) => STAGES.includes(stage)));
  const n = both.length;
  if (!n) return null;
  const share = (side, stage) => both.filter((pair) => pair[side] === stage).length / n;
  const same = both.filter(([a, b]) => a === b).length / n;
  const chance = STAGES.reduce((sum, stage) => sum + share(0, stage) * share(1, stage), 0);
  return { n, same, kappa: same === 1 ? 1 : (same - chance) / (1 - chance) };
}

/** Runs of equal stages: [{stage, first, last}], where last is one past the run. */
export function runs(stages) {
  const out = [];
  stages.forEach((stage, i) => {
    if (out.length && out.at(-1).stage === stage) out.at(-1).last = i + 1;
    else out.push({ stage, first: i, last: i + 1 });
  });
  return out;
}

/** Seconds as 1:02:30, or 1:02 for whole minutes. */
export function clockText(seconds) {
  const t = Math.abs(Math.round(seconds)), s = t % 60, m = Math.floor(t / 60) % 60, h = Math.floor(t / 3600);
  const two = (x) => String(x).padStart(2, "0");
  return `${seconds < 0 ? "−" : ""}${h}:${two(m)}${s ? `:${two(s)}` : ""}`;
}

/** Time t (s) of a night as clock time, such as 23:10; without a clock, as time since the start. */
export function timeText({ clock }, t) {
  return clock ? new Date((clock.seconds + t) * 1000).toISOString().slice(11, 19).replace(/:00$/, "") : clockText(t);
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
