// A file to the server, whole or in parts. XMLHttpRequest, because only it tells how far an upload has come.
import { Problem, signIn } from "./api.js";

// Parts under way: of one file, and of all. A browser has six connections to a server that speaks HTTP/1.1 alone, and the
// page needs some for itself.
const PARTS_EACH = 2;
const PARTS_ALL = 4;
// Without a sign of life for that long, a try is given up: the machine may be frozen.
const SILENCE_MAX = 20_000;
const ANSWER_MAX = 60_000;

/**
 * Sends once. Resolves with the answer, if it is a good one; rejects with a Problem. `watch(sent, total)` is told of
 * progress.
 */
export function send(url, file, watch, signal, good = (answer) => answer.entry) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    let timer;
    const alive = (within) => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), within);
    };
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    };
    const stop = () => request.abort();
    const lost = () => {
      end();
      fail(new Problem(0));
    };
    signal.addEventListener("abort", stop);
    request.upload.addEventListener("progress", (event) => {
      alive(event.loaded < event.total ? SILENCE_MAX : ANSWER_MAX);
      watch(event.loaded, event.total);
    });
    request.upload.addEventListener("load", () => {
      alive(ANSWER_MAX);
      watch(file.size, file.size);
    });
    request.addEventListener("error", lost);
    request.addEventListener("abort", lost);
    request.addEventListener("load", () => {
      end();
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // A proxy's page.
      }
      if (request.status >= 200 && request.status < 300 && good(answer)) done(answer);
      else {
        if (request.status === 401) signIn();
        fail(new Problem(request.status, answer.error, request.getResponseHeader("retry-after")));
      }
    });
    request.open("PUT", url);
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    alive(SILENCE_MAX);
    request.send(file);
  });
}

let free = PARTS_ALL;
const queue = [];

async function turn() {
  if (free > 0) free -= 1;
  else await new Promise((go) => queue.push(go));
}

function next() {
  const go = queue.shift();
  if (go) go();
  else free += 1;
}

/**
 * Sends the parts of a file that are not there yet; `have` (bytes by number, from 1) takes in each that then is. `url(n)`
 * is where a part goes, `persevere(act)` does it again as long as what broke it passes, and `watch(sent)` is told how many
 * of the file's bytes are there or on their way. Rejects with the first part's Problem; the others under way end then.
 */
export async function sendParts(file, { url, partBytes, have, persevere, watch, signal }) {
  const lengthOf = (n) => Math.min(n * partBytes, file.size) - (n - 1) * partBytes;
  const stop = new AbortController();
  const halt = () => stop.abort();
  signal.addEventListener("abort", halt);
  if (signal.aborted) halt();
  const last = Math.ceil(file.size / partBytes);
  const moving = new Map();
  let there = 0;
  for (let n = 1; n <= last; n += 1) {
    // One of another length is none of this file's.
    if (have.get(n) === lengthOf(n)) there += lengthOf(n);
    else have.delete(n);
  }
  const tell = () => watch([...moving.values()].reduce((sum, sent) => sum + sent, there));
  const once = async (n) => {
    await turn();
    try {
      // It may have been stopped while others had their turn.
      if (stop.signal.aborted) throw new Problem(0);
      const part = file.slice((n - 1) * partBytes, (n - 1) * partBytes + lengthOf(n));
      const watchPart = (sent) => {
        // Told once more after it was stopped, when a pause may be shown already.
        if (stop.signal.aborted) return;
        moving.set(n, Math.min(sent, lengthOf(n)));
        tell();
      };
      await send(url(n), part, watchPart, stop.signal, (answer) => answer.number === n && answer.size === lengthOf(n));
    } finally {
      moving.delete(n);
      next();
    }
  };
  let at = 0;
  const work = async () => {
    try {
      while (!stop.signal.aborted && at < last) {
        at += 1;
        const n = at;
        if (have.has(n)) continue;
        await persevere(() => once(n), stop.signal);
        have.set(n, lengthOf(n));
        there += lengthOf(n);
        tell();
      }
    } catch (problem) {
      halt();
      throw problem;
    }
  };
  try {
    tell();
    const ends = await Promise.allSettled(Array.from({ length: PARTS_EACH }, work));
    const failed = ends.map((one) => one.reason).filter(Boolean);
    // What stopped the others says more than that they were stopped.
    if (failed.length > 0) throw failed.find((problem) => problem.status !== 0) ?? failed[0];
    if (signal.aborted) throw new Problem(0);
  } finally {
    signal.removeEventListener("abort", halt);
  }
}
