// Loaded once from the service: the run's models, and the constants that the page shares with it.

import * as service from "./service.js";

export let catalog; // the answer of GET /api/bundles, and gravity: expected [low, high] of acceleration in g
export let STAGES = []; // names, in the order of the probabilities
export let UNKNOWN; // replaces a stage if too little was sensed

export async function loadCatalog() {
  catalog = await service.bundles();
  const contract = await service.contract(catalog.bundles[0].architecture);
  catalog.gravity = contract.input_guard.gravity_g;
  STAGES = catalog.stages.map(({ name }) => name);
  UNKNOWN = catalog.unknown.stage;
}
