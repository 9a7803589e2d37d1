// One file to the server, once. XMLHttpRequest, because only it tells how far an upload has come.
import { Problem } from "./api.js";

// Without a sign of life for that long, a try is given up: the machine may be frozen.
const SILENCE_MAX = 20_000;
const ANSWER_MAX = 60_000;

/** Resolves with the answer; rejects with a Problem. `watch(sent, total)` is told of progress. */
export function send(url, file, watch, signal) {
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
      if (request.status >= 200 && request.status < 300 && answer.entry) done(answer);
      else fail(new Problem(request.status, answer.error));
    });
    request.open("PUT", url);
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    alive(SILENCE_MAX);
    request.send(file);
  });
}
