// Requests to the gateway that serves this page, and to no other host.

const state = { token: null, needsLogin: true, hasMasterKey: true };

/** The path before `/ui`, for a gateway below a path of a proxy. */
const base = location.pathname.replace(/\/ui\/?$/, '');

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Sends a request, with `key` or with the session. Fails with the gateway's message. */
async function send(path, { method, body, key, signal } = {}) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  else if (state.token) headers['x-polyllm-token'] = state.token;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(base + path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store',
    redirect: 'error',
    signal,
  });
  if (response.ok) return response;
  let message = `HTTP status ${response.status}`;
  try {
    message = (await response.json()).error.message || message;
  } catch { /* not JSON */ }
  if (response.status === 401 && !key && path !== '/ui/login') {
    state.token = null;
    show();
  }
  throw new ApiError(response.status, message);
}

async function api(path, options) {
  return (await send(path, options)).json();
}

/** The data of a stream's events. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const data = block.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
      if (data.length) yield data.join('\n');
    }
  }
}

async function session() {
  const answer = await api('/ui/session');
  state.needsLogin = answer.needs_login;
  state.token = answer.token;
}
