// Exports a night: HealthKit, Health Connect, EDF+ or CSV, as the service writes them.

import { element } from "./panel.js";
import * as service from "./service.js";

const $ = (id) => document.getElementById(id);
const ENDINGS = { healthkit: "healthkit.json", health_connect: "health-connect.json", edf: "edf", csv: "csv" };

/**
 * Prepare the form. predictNight: async () => {night, name, epochs} of the whole night. tell(text) and fail(error) show
 * the outcome.
 */
export function prepare(predictNight, tell, fail) {
  $("zones").append(...Intl.supportedValuesOf("timeZone").map((value) => element("option", { value })));
  $("zone").value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const evening = new Date();
  evening.setDate(evening.getDate() - 1);
  const two = (n) => String(n).padStart(2, "0");
  $("start").value = `${evening.getFullYear()}-${two(evening.getMonth() + 1)}-${two(evening.getDate())}T23:00:00`;
  $("export").addEventListener("submit", async (event) => {
    event.preventDefault();
    const kind = event.submitter.value;
    try {
      const { night, name, epochs } = await predictNight();
      const blob = await service.exported(kind, {
        stages: epochs.map(({ stage }) => stage),
        probabilities: epochs.map(({ probabilities }) => probabilities && Array.from(probabilities)),
        start: $("start").value, zone: $("zone").value.trim(), subject: night.subject.slice(0, 80), model: name,
      });
      const file = `${night.subject}.${name.replaceAll(" ", ".")}.${ENDINGS[kind]}`;
      save(blob, file);
      tell(`Saved ${file}.`);
    } catch (error) {
      fail(error);
    }
  });
}

/** Set the clock of the user's own night. */
export function setClock({ local, offset }) {
  $("start").value = local;
  if (offset) $("zone").value = offset;
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
