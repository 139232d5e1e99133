// Requests to the service.

async function request(path, body) {
  const settings = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, settings);
  } catch {
    throw new Error("the service does not answer; is it still running?");
  }
  if (!response.ok) throw await problem(response);
  return response;
}

/** The service's error: a one-line message, and `fields`, {field: message}, if the answer names some. */
async function problem(response) {
  const detail = await response.json().then((json) => json.detail, () => response.statusText);
  if (!Array.isArray(detail)) return new Error(detail);
  const error = new Error(detail.map(({ field, message }) => `${field}: ${message}`).join("; "));
  return Object.assign(error, { fields: Object.fromEntries(detail.map(({ field, message }) => [field, message])) });
}

const json = async (path, body) => (await request(path, body)).json();

export const bundles = () => json("/api/bundles");
export const contract = (architecture) => json(`/bundles/${encodeURIComponent(architecture)}/contract.json`);
export const nights = () => json("/api/nights");
export const night = (id) => json(`/api/nights/${encodeURIComponent(id)}`);
export const statistics = (stages) => json("/api/statistics", { stages });
export const exported = async (kind, body) => (await request(`/api/export/${kind}`, body)).blob();
