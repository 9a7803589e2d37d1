// Calls to the server, tried again while a part of the cluster fails over.
import { say } from "./format.js";

const TRIES = 12;
const banner = document.getElementById("connection");
const troubles = new Set();

/** What the server said, or that it said nothing. */
export class Problem extends Error {
  /** `retryAfter`: seconds that are to pass before another try. */
  constructor(status, error = {}, retryAfter = 0) {
    super(error.message ?? say(status === 0 ? "unreachable" : "something_failed"));
    this.status = status;
    this.kind = error.kind ?? error.code ?? "unreachable";
    this.action = error.action ?? "";
    this.id = error.id ?? "";
    this.retryAfter = Number(retryAfter) || 0;
  }

  /** Will it pass by itself? */
  get passes() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** Shows the banner as long as anything is in trouble. */
export function trouble(what, on) {
  if (on) troubles.add(what);
  else troubles.delete(what);
  // Plain pages have none.
  if (banner) banner.hidden = troubles.size === 0;
}

/** Longer each time, and at least so many seconds. */
export function wait(attempt, seconds = 0) {
  const base = Math.max(1400 * seconds, Math.min(3000, 250 * 1.6 ** attempt));
  return new Promise((done) => setTimeout(done, base * (0.75 + Math.random() / 2)));
}

export async function problemOf(response) {
  let error;
  try {
    error = (await response.json()).error;
  } catch {
    // Not from us: a proxy's page, or an answer that broke off.
  }
  return new Problem(response.status, error, response.headers.get("retry-after"));
}

export function signIn() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

async function send(method, url, body, within) {
  const init = { method, headers: { accept: "application/json" }, signal: AbortSignal.timeout(within) };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(url, init);
    if (response.ok) return response.status === 204 ? {} : await response.json();
  } catch {
    throw new Problem(0);
  }
  throw await problemOf(response);
}

/**
 * The answer's content, and in `tries` how often it was asked for. `accept(problem)` may turn a refusal into an answer when
 * an earlier try may have been carried out although its answer was lost; with `once`, what may
 * have been carried out is not sent again. Each of at most `tries` is waited for `within` milliseconds.
 */
export async function call(method, url, { body, accept, once = false, within = 30_000, tries = TRIES } = {}) {
  const key = Symbol(url);
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return { ...(await send(method, url, body, within)), tries: attempt + 1 };
      } catch (problem) {
        if (problem.status === 401) signIn();
        if (attempt > 0 && accept?.(problem)) return {};
        if (!problem.passes || attempt + 1 >= tries || (once && problem.status !== 503)) throw problem;
        // A short hiccup is nobody's concern.
        if (attempt > 0) trouble(key, true);
        await wait(attempt);
      }
    }
  } finally {
    trouble(key, false);
  }
}
