// The user's own files: dropped, chosen, or the sample.

import { catalog } from "./catalog.js";
import { readNights } from "./files.js";

const $ = (id) => document.getElementById(id);
const SAMPLE = "sample_night.csv";

/** Calls open(nights) with the nights read, within during(work), which shows errors. */
export function prepareDrop(open, during) {
  const read = (files) => catalog && during(async () => open(await readNights(await files, catalog)));
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) read([...$("file").files]);
    $("file").value = "";
  });
  $("sample").addEventListener("click", () => catalog && during(async () => open([await readSample()])));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    if (files.length) read(entries.some(({ isDirectory }) => isDirectory) ? filesIn(entries) : files);
  });
}

/** The sample night. */
export async function readSample() {
  const response = await fetch(SAMPLE);
  if (!response.ok) throw new Error(`${SAMPLE}: ${response.statusText}`);
  const [night] = await readNights([new File([await response.blob()], SAMPLE)], catalog);
  return { ...night, name: "Sample", notes: ["A simulated night for trying the page.", ...night.notes] };
}

/** The files of dropped entries, including those in folders. */
async function filesIn(entries) {
  const out = [];
  for (const entry of entries) {
    if (entry.isFile) out.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else out.push(...(await filesIn(await entriesOf(entry.createReader()))));
  }
  return out;
}

async function entriesOf(reader) {
  const out = [];
  for (;;) { // a reader returns entries in batches
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return out;
    out.push(...some);
  }
}
