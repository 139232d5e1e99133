// The service that the page comes from.

async function ask(path, body) {
  const asked = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, asked);
  } catch {
    throw new Error("the service does not answer; is it still running?");
  }
  if (!response.ok) throw new Error(await wrong(response));
  return response;
}

/** What the service says is wrong, as a line. */
async function wrong(response) {
  const said = await response.json().then((json) => json.detail, () => response.statusText);
  return Array.isArray(said) ? said.map(({ field, message }) => `${field}: ${message}`).join("; ") : said;
}

const json = async (path, body) => (await ask(path, body)).json();

export const bundles = () => json("/api/bundles");
export const nights = () => json("/api/nights");
export const night = (id) => json(`/api/nights/${encodeURIComponent(id)}`);
export const statistics = (stages) => json("/api/statistics", { stages });
export const exported = async (kind, body) => (await ask(`/api/export/${kind}`, body)).blob();
