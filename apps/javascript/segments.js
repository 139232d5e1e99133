// Stages as segments of a health store.

import { STAGES, UNKNOWN } from "./contract.js";
import { oneOf, StagerError } from "./errors.js";

const NAMES = { // value -> its name on the platform
  healthkit: { 2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM" }, // HKCategoryValueSleepAnalysis
  health_connect: { 1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM" }, // SleepSessionRecord.STAGE_TYPE_
};
const OFFSET = /^([+-])([01]\d|2[0-3]):?([0-5]\d)$/;

/**
 * Epochs as segments [{start, end, stage, value}] of a health store: runs of equal value merged, without overlaps,
 * with gaps where the stage is unknown.
 *
 * seconds: length of an epoch, the contract's stride. platform: "healthkit" or "health_connect"; stage and value are
 * its. start and end are ISO 8601 with the offset that the zone (IANA name or "+02:00") has then. origin: Unix time of
 * t=0, if times are since the recording's start.
 */
export function segments(epochs, { seconds = 30, zone, platform = "healthkit", origin = 0 } = {}) {
  const names = oneOf("unknown_platform", "platform", platform, NAMES), offset = offsets(zone);
  const values = Object.fromEntries(STAGES.map((stage) => [stage.name, stage[platform]]));
  const ms = (t) => Math.floor((origin + t) * 1000 + 0.5);
  const runs = [];
  for (const { time, stage } of [...epochs].sort((a, b) => a.time - b.time)) {
    if (stage === UNKNOWN) continue;
    const last = runs.at(-1);
    const start = Math.max(ms(time), last ? last.end : -Infinity), end = ms(time + seconds);
    if (start >= end) continue; // covered by earlier epochs
    if (last && last.end === start && last.value === values[stage]) last.end = end;
    else runs.push({ start, end, stage: names[values[stage]], value: values[stage] });
  }
  return runs.map((run) => ({ ...run, start: isoTime(run.start, offset), end: isoTime(run.end, offset) }));
}

/** A function that gives the offset of a zone, "+02:00", at an instant in Unix ms. */
function offsets(zone = Intl.DateTimeFormat().resolvedOptions().timeZone) {
  const fixed = OFFSET.exec(zone);
  if (fixed) return () => `${fixed[1]}${fixed[2]}:${fixed[3]}`;
  try {
    const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" });
    const named = (ms) => format.formatToParts(ms).find(({ type }) => type === "timeZoneName").value.slice(3);
    return (ms) => named(ms) || "+00:00"; // it was "GMT+02:00", or "GMT"
  } catch {
    throw new StagerError(
      "unknown_zone", `zone '${zone}': expected an IANA name, such as Europe/Berlin, or an offset, such as +02:00`,
    );
  }
}

/** An instant, in Unix ms, as ISO 8601 with the offset that the zone has then. */
function isoTime(ms, offset) {
  const shift = offset(ms), minutes = 60 * Number(shift.slice(1, 3)) + Number(shift.slice(4, 6));
  const local = new Date(ms + (shift[0] === "-" ? -60000 : 60000) * minutes);
  return local.toISOString().replace(/(\.000)?Z$/, "") + shift;
}
