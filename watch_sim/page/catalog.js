// What the service tells once: the run's models, and the constants that the page shares with it.

import * as service from "./service.js";

export let catalog; // as GET /api/bundles gives it, and gravity: [low, high] in g of acceleration with its right unit
export let STAGES = []; // names, in the order of the probabilities
export let UNKNOWN; // stands in place of a stage where too little was sensed

export async function loadCatalog() {
  catalog = await service.bundles();
  const contract = await service.contract(catalog.bundles[0].architecture);
  catalog.gravity = contract.input_guard.gravity_g;
  STAGES = catalog.stages.map(({ name }) => name);
  UNKNOWN = catalog.unknown.stage;
}
