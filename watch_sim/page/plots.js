// Charts of a night so far, on one time axis: hypnogram, probabilities, heart rate and movement.

import { STAGES, UNKNOWN } from "./catalog.js";
import { runs, timeText } from "./numbers.js";

const ROWS = ["Wake", "REM", "N1", "N2", "N3"]; // of the hypnogram, from the top
const LAYERS = ["N3", "N2", "N1", "REM", "Wake"]; // of the probabilities, from the bottom
const LEFT = 44, RIGHT = 8, AXIS = 17; // px
const HOUR = 3600, GAP = 120; // s: a heart rate line does not cross a longer gap

let colours = {};
/** A colour of the style sheet, by name, in the current theme. */
function colour(name) {
  if (!colours[name]) {
    const probe = document.body.appendChild(document.createElement("span"));
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
    probe.remove();
  }
  return colours[name];
}
addEventListener("theme", () => (colours = {}));

/** Clear a canvas and set it to the screen's resolution: {ctx, width, height} in CSS px. */
function cleared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, dpr = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * dpr) || canvas.height !== Math.round(height * dpr)) {
    [canvas.width, canvas.height] = [Math.round(width * dpr), Math.round(height * dpr)];
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textBaseline = "middle";
  return { ctx, width, height };
}

function text(ctx, words, x, y, align = "right", name = "muted") {
  [ctx.textAlign, ctx.fillStyle] = [align, colour(name)];
  ctx.fillText(words, x, y);
}

function line(ctx, x0, y0, x1, y1, name = "line") {
  [ctx.strokeStyle, ctx.lineWidth] = [colour(name), 1];
  ctx.beginPath();
  ctx.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  ctx.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  ctx.stroke();
}

/** Vertical lines at round clock times, with the times below `bottom` if there is room. */
function nightAxis(ctx, x, night, bottom) {
  const { clientWidth: width, clientHeight: height } = ctx.canvas, to = night.start + night.windows * night.stride;
  const most = width / 52, ahead = night.clock?.seconds ?? 0; // lines that fit; clock time in s at t=0
  const steps = [600, 1800, HOUR, 2 * HOUR, 4 * HOUR];
  const step = steps.find((seconds) => (to - night.start) / seconds <= most) ?? 6 * HOUR;
  for (let t = Math.ceil((night.start + ahead) / step) * step - ahead; t <= to; t += step) {
    const at = x(t);
    line(ctx, at, 0, at, bottom);
    if (bottom < height) {
      text(ctx, timeText(night, t), at, bottom + 10, at > width - 20 ? "right" : "center");
    }
  }
}

/** The index of the first of [t, value] with t >= at. */
function firstAt(series, at) {
  let [low, high] = [0, series.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (series[middle][0] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Range of a night's heart rate, rounded to tens. */
export function heartRange(night) {
  const sorted = night.heart.map(([, bpm]) => bpm).sort((a, b) => a - b);
  if (!sorted.length) return [50, 90];
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return [10 * Math.floor((at(0.001) - 2) / 10), 10 * Math.ceil((at(0.999) + 2) / 10)];
}

/** Heart rate up to marks.now, within a range in bpm; gaps are grey. */
export function drawHeart(canvas, night, [low, high], marks) {
  const { ctx, width, height: bottom } = cleared(canvas), { x } = scale(canvas, night);
  const y = (bpm) => 6 + (1 - (bpm - low) / (high - low)) * (bottom - 12);
  nightAxis(ctx, x, night, bottom);
  drawAbsent(ctx, x, night.absent.heart, marks.now, bottom);
  const step = high - low > 60 ? 20 : 10;
  for (let bpm = Math.ceil(low / step) * step; bpm <= high; bpm += step) {
    line(ctx, LEFT, y(bpm), width - RIGHT, y(bpm));
    text(ctx, bpm, LEFT - 7, y(bpm));
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, 0, width - LEFT - RIGHT, bottom);
  ctx.clip();
  ctx.beginPath();
  let before = -Infinity;
  for (const [t, bpm] of upTo(night.heart, marks.now)) {
    if (t - before <= GAP) ctx.lineTo(x(t), y(bpm));
    else ctx.moveTo(x(t) - 0.5, y(bpm)), ctx.lineTo(x(t) + 0.5, y(bpm));
    before = t;
  }
  [ctx.strokeStyle, ctx.lineWidth, ctx.lineJoin] = [colour("heart"), 1.1, "round"];
  ctx.stroke();
  ctx.restore();
  drawMarks(ctx, x, night, marks, bottom);
}

/** Movement up to marks.now, scaled to its largest value; gaps are grey. */
export function drawMovement(canvas, night, highest, marks) {
  const { ctx, width, height } = cleared(canvas), { x } = scale(canvas, night), bottom = height - AXIS;
  nightAxis(ctx, x, night, bottom);
  drawAbsent(ctx, x, night.absent.movement, marks.now, bottom);
  ctx.fillStyle = colour("move");
  const wide = Math.max(x(night.start + 30) - x(night.start), 1);
  for (const [t, value] of upTo(night.movement, marks.now)) {
    const tall = Math.sqrt(Math.min(value / highest, 1)) * (bottom - 4); // so that small movements are visible
    if (tall >= 0.5) ctx.fillRect(x(t) - wide, bottom - tall, wide, tall);
  }
  line(ctx, LEFT, bottom, width - RIGHT, bottom);
  drawMarks(ctx, x, night, marks, bottom);
}

const upTo = (series, now) => series.slice(0, firstAt(series, now + 1e-6));

/** Grey bands in a sensor's gaps. */
function drawAbsent(ctx, x, absent, now, bottom) {
  ctx.fillStyle = colour("absent");
  for (const [from, to] of absent) {
    if (from < now) ctx.fillRect(x(from), 1, Math.max(x(Math.min(to, now)) - x(from), 1), bottom - 2);
  }
}

/** The time axis of a canvas: t to x, and x to t. */
function scale(canvas, night) {
  const span = night.windows * night.stride, wide = canvas.clientWidth - LEFT - RIGHT;
  return {
    x: (t) => LEFT + ((t - night.start) / span) * wide,
    t: (x) => night.start + ((x - LEFT) / wide) * span,
  };
}

/** The window under a pointer, or null. */
export function windowAt(canvas, night, clientX) {
  const t = scale(canvas, night).t(clientX - canvas.getBoundingClientRect().left);
  const k = Math.floor((t - night.start) / night.stride);
  return k >= 0 && k < night.windows ? k : null;
}

/** Grey bands where the stage is unknown, labelled if there is room. */
function drawUnknown(ctx, at, stages, bottom) {
  for (const { stage, first, last } of runs(stages)) {
    if (stage !== UNKNOWN) continue;
    const wide = at(last) - at(first);
    ctx.fillStyle = colour("unknown");
    ctx.fillRect(at(first), 1, Math.max(wide, 1), bottom - 2);
    if (wide > ctx.measureText(UNKNOWN).width + 6) text(ctx, UNKNOWN, (at(first) + at(last)) / 2, 9, "center", "ink");
  }
}

/** Stage probabilities of epochs as layers, deep sleep at the bottom; none where the stage is unknown. */
export function drawProbabilities(canvas, night, epochs, marks) {
  const { ctx, width, height: bottom } = cleared(canvas), { x } = scale(canvas, night);
  nightAxis(ctx, x, night, bottom);
  const base = new Float64Array(epochs.length);
  const y = (share) => 2 + (1 - share) * (bottom - 3);
  const at = (k) => x(night.start + k * night.stride);
  ctx.globalAlpha = 0.8;
  for (const stage of LAYERS) {
    const index = STAGES.indexOf(stage), top = base.map((sum, k) => sum + (epochs[k].probabilities?.[index] ?? 0));
    ctx.beginPath();
    for (let k = 0; k < epochs.length; k++) {
      ctx.lineTo(at(k), y(top[k]));
      ctx.lineTo(at(k + 1), y(top[k]));
    }
    for (let k = epochs.length - 1; k >= 0; k--) {
      ctx.lineTo(at(k + 1), y(base[k]));
      ctx.lineTo(at(k), y(base[k]));
    }
    ctx.closePath();
    ctx.fillStyle = colour(stage.toLowerCase());
    ctx.fill();
    base.set(top);
  }
  ctx.globalAlpha = 1;
  drawUnknown(ctx, at, epochs.map(({ stage }) => stage), bottom);
  for (const share of [0, 0.5, 1]) text(ctx, `${100 * share}%`, LEFT - 7, Math.min(Math.max(y(share), 7), bottom - 6));
  line(ctx, LEFT, bottom - 1, width - RIGHT, bottom - 1);
  drawMarks(ctx, x, night, marks, bottom);
}

/**
 * A hypnogram: Wake on top, then REM, highlighted, then N1 to N3; scored stages are broad bands behind. Unknown stages
 * are grey gaps.
 */
export function drawHypnogram(canvas, night, stages, scored, marks) {
  const { ctx, width, height } = cleared(canvas), { x } = scale(canvas, night);
  const bottom = height - AXIS, floor = bottom - 8, room = floor / ROWS.length;
  const y = (stage) => 2 + (ROWS.indexOf(stage) + 0.5) * room;
  const at = (k) => x(night.start + k * night.stride);
  nightAxis(ctx, x, night, bottom);
  drawUnknown(ctx, at, stages, bottom);
  for (const stage of ROWS) {
    line(ctx, LEFT, y(stage), width - RIGHT, y(stage));
    text(ctx, stage, LEFT - 7, y(stage), "right", "ink");
  }
  if (scored) {
    const tall = Math.min(room - 5, 19);
    ctx.fillStyle = colour("scored");
    for (const { stage, first, last } of runs(scored.slice(0, stages.length))) {
      if (stage) ctx.fillRect(at(first), y(stage) - tall / 2, Math.max(at(last) - at(first), 1), tall);
    }
    ctx.fillStyle = colour("wrong");
    stages.forEach((stage, k) => {
      const differs = scored[k] && scored[k] !== stage && stage !== UNKNOWN;
      if (differs) ctx.fillRect(at(k), floor + 2, Math.max(at(k + 1) - at(k), 1), 4);
    });
  }
  const all = runs(stages);
  [ctx.lineWidth, ctx.strokeStyle] = [1, colour("muted")];
  ctx.beginPath();
  for (let i = 1; i < all.length; i++) {
    if (all[i - 1].stage === UNKNOWN || all[i].stage === UNKNOWN) continue;
    ctx.moveTo(at(all[i].first), y(all[i - 1].stage));
    ctx.lineTo(at(all[i].first), y(all[i].stage));
  }
  ctx.stroke();
  for (const { stage, first, last } of all) {
    if (stage === UNKNOWN) continue;
    const thick = stage === "REM" ? 7 : 4;
    ctx.fillStyle = colour(stage.toLowerCase());
    ctx.fillRect(at(first) - 0.5, y(stage) - thick / 2, Math.max(at(last) - at(first) + 1, 1.5), thick);
  }
  line(ctx, LEFT, bottom, width - RIGHT, bottom);
  drawMarks(ctx, x, night, marks, bottom);
}

/** Vertical lines at the current time and the window under the pointer. marks: {now: s, pointed: window or null}. */
function drawMarks(ctx, x, night, { now, pointed }, bottom) {
  if (now < night.start + night.windows * night.stride) line(ctx, x(now), 0, x(now), bottom, "accent");
  if (pointed !== null) {
    const at = x(night.start + (pointed + 0.5) * night.stride);
    line(ctx, at, 0, at, bottom, "muted");
  }
}
