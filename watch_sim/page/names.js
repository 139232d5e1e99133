// Display names for the names used by files and the service.

const ARCHITECTURES = { gru: "GRU", lstm: "LSTM", rnn: "RNN", transformer: "Transformer" };
const PRECISIONS = {
  float32: "32-bit float", float16: "16-bit float", dynamic: "8-bit weights", int8: "8-bit", int16x8: "16×8-bit",
};
const POINTS = { rem: "more REM", balanced: "balanced stages" };

export const SENSORS = { heart_rate: "heart rate", motion: "raw motion", steps: "steps", activity: "activity" };
/** How the run used a night. */
export const PARTS = {
  validation: "Held out", null: "Not in the run", inner_validation: "Used for model selection", train: "Trained on",
};

export const architectureName = (name) => ARCHITECTURES[name] ?? name;
export const precisionName = (name) => PRECISIONS[name] ?? name;
export const pointName = (name) => POINTS[name] ?? name;

/** Such as "GRU, 8-bit" or "GRU, 8-bit, more REM". */
export function modelName({ architecture, precision, point }) {
  const names = [architectureName(architecture), precisionName(precision), point && pointName(point)];
  return names.filter(Boolean).join(", ");
}

/** A word with a capital first letter. */
export const capital = (text) => text[0].toUpperCase() + text.slice(1);
