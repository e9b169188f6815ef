// What the page asks the server. Refusals become errors whose message is one line.

export async function ask(method, path, body) {
  const file = body instanceof Blob;
  const answer = await fetch(path, {
    method,
    headers: body && !file ? { "Content-Type": "application/json" } : {},
    body: body && !file ? JSON.stringify(body) : body,
  });
  const said = answer.headers.get("content-type") === "application/json" ? await answer.json() : {};
  if (!answer.ok) throw Object.assign(new Error(said.error || answer.statusText), { status: answer.status });
  return said;
}

// The token stands behind # in the address that the command printed: it is taken from there, and gone from the address.
export async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw Object.assign(new Error(), { status: answer.status });
}

export const fileOf = (job, name) => `/api/jobs/${job}/files/${encodeURIComponent(name)}`;

// `opened` is called whenever the stream begins: what was told before that, or while it was broken, has to be asked for.
export function listen(hear, opened) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => hear(JSON.parse(event.data));
  source.onopen = opened;
}
