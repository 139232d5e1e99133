// Exports a night: HealthKit, Health Connect, EDF+ or CSV, as the service writes them.

import { timeText } from "./numbers.js";
import { element } from "./panel.js";
import * as service from "./service.js";

const $ = (id) => document.getElementById(id);
const ENDINGS = { healthkit: "healthkit.json", health_connect: "health-connect.json", edf: "edf", csv: "csv" };
const KINDS = { healthkit: "HealthKit samples", health_connect: "a Health Connect session", edf: "EDF+", csv: "CSV" };
const PROMPTS = {
  start: "Enter when the night began; the recording does not say.", zone: "Enter a time zone, such as Europe/Berlin.",
};

/**
 * Prepare the form. predictNight: async () => {night, name: of the model, file: its name in file names, epochs} for
 * the whole night. fail(error) shows errors that belong to no field.
 */
export function prepare(predictNight, fail) {
  $("zones").append(...Intl.supportedValuesOf("timeZone").map((value) => element("option", { value })));
  for (const id of ["start", "zone"]) $(id).addEventListener("input", () => showError(id, ""));
  $("export").addEventListener("submit", async (event) => {
    event.preventDefault();
    const kind = event.submitter.value;
    $("exported").textContent = "";
    for (const id of ["zone", "start"]) showError(id, $(id).value.trim() ? "" : PROMPTS[id]);
    if ($("export").querySelector("[aria-invalid=true]")) return;
    const start = $("start").value, zone = $("zone").value.trim();
    try {
      const { night, name, file: model, epochs } = await predictNight();
      const blob = await service.exported(kind, {
        stages: epochs.map(({ stage }) => stage),
        probabilities: epochs.map(({ probabilities }) => probabilities && Array.from(probabilities)),
        start, zone, subject: night.subject.slice(0, 80), model: name,
      });
      const file = `${night.subject}.${model}.${ENDINGS[kind]}`;
      save(blob, file);
      const from = `${start.slice(0, 16).replace("T", " ")} (${zone})`;
      const hours = timeText({}, epochs.length * night.stride);
      const what = `${KINDS[kind]}, ${epochs.length} epochs of ${name}, ${hours} h from ${from}`;
      $("exported").textContent = `Wrote ${file}: ${what}.`;
    } catch (error) {
      const fields = Object.entries(error.fields ?? {}).filter(([field]) => field in PROMPTS);
      for (const [field, message] of fields) showError(field, message);
      if (!fields.length) fail(error);
    }
  });
}

/** Fill in the start from a night's clock; without one, the user must enter it. */
export function setClock(clock) {
  const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $("start").value = clock ? new Date(Math.floor(clock.seconds) * 1000).toISOString().slice(0, 19) : "";
  $("zone").value = clock?.zone || browserZone;
  $("exported").textContent = "";
  for (const id of ["start", "zone"]) showError(id, "");
}

/** Show an error next to its field; "" hides it. */
function showError(id, message) {
  $(`${id}-error`).textContent = message;
  $(`${id}-error`).hidden = !message;
  $(id).setAttribute("aria-invalid", String(Boolean(message)));
  if (message) $(id).focus();
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
