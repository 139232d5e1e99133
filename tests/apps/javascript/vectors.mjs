/** Runs a test vector (tests/vectors/*.json) on the library, in Node as in a page. */
import { SleepStager, StagerError } from "../../../apps/javascript/sleep-stager.js";

const NUMBERS = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const number = (x) => (typeof x === "string" ? NUMBERS[x] : x);

/** The answer to each step, {error, message} where it was refused, of a vector; of one that only opens, its answer. */
export async function answersTo(vector, source) {
  const opened = vector.open ?? vector, epochs = [];
  const at = opened.operating_point ?? null;
  const create = async (precision = opened.precision, start = -77, operatingPoint = at) => SleepStager.create({
    ...source, precision, start, operatingPoint,
    contractSha256: opened.contract_sha256 ?? null,
  });
  let stager, saved;

  async function answer(step) {
    if (step.feed) for (const [sensor, t, x] of step.feed) stager.feed(sensor, number(t), [x].flat().map(number));
    else if ("take" in step) {
      const taken = await stager.take(number(step.take));
      epochs.push(...taken);
      return taken.map(({ time, stage, probabilities, coverage }) => ({
        time, stage, probabilities: Array.from(probabilities), coverage: Object.fromEntries(
          Object.entries(coverage).map(([name, { share, secondsSince }]) => (
            [name, { share, seconds_since: secondsSince }]
          )),
        ),
      }));
    } else if (step.dropped) return withoutZeros(stager.dropped);
    else if (step.findings) return stager.findings;
    else if (step.save) saved = stager.save();
    else if (step.restore === "damaged") stager.restore(saved.slice(0, saved.length / 2));
    else if (step.restore === "other_precision") {
      const other = await create(Object.keys(stager.contract.precisions).find((name) => name !== opened.precision));
      stager.restore(other.save());
    } else if (step.restore === "other_operating_point") {
      const other = await create(opened.precision, -77, at === null ? "rem" : null);
      other.restore(saved);
    } else if (step.restore) {
      await stager.delete();
      stager = await create();
      stager.restore(saved);
    } else if ("reset" in step) stager.reset(number(step.reset));
    else if (step.segments) return stager.segments(epochs, step.segments);
    else throw new Error(`unknown step ${JSON.stringify(step)}`);
    return null;
  }

  const open = await refused(async () => void (stager = await create(opened.precision, vector.start ?? 0)));
  if (vector.open || open) return open;
  const answers = [];
  for (const step of vector.steps) answers.push(await refused(() => answer(step)));
  await stager.delete();
  return answers;
}

async function refused(work) {
  try {
    return (await work()) ?? null;
  } catch (error) {
    if (error instanceof StagerError) return { error: error.code, message: error.message };
    throw error;
  }
}

/** {sensor: {reason: samples}} but for what is 0. */
function withoutZeros(dropped) {
  const counted = Object.entries(dropped).map(([sensor, reasons]) => (
    [sensor, Object.fromEntries(Object.entries(reasons).filter(([, n]) => n))]
  ));
  return Object.fromEntries(counted.filter(([, reasons]) => Object.keys(reasons).length));
}
