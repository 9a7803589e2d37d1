// The queue of uploads: a few at a time, each tried again with the same identity until it is saved.
import { Problem, call, signIn, trouble, wait } from "./api.js";
import * as conflicts from "./conflicts.js";
import { api, join, numbered, say } from "./format.js";
import * as listing from "./listing.js";
import { send } from "./send.js";
import * as tray from "./tray.js";

const AT_ONCE = 3;
const TRIES = 14;
const NAMES_MAX = 200;
// From this size on, a name that is taken is better found out before sending.
const LOOK_FIRST = 256 * 1024;

const waiting = [];
const active = new Set();
/** Folders that are being made, or were: each once. */
const folders = new Map();

function identity() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Files for a folder; each may name a folder within it. One without a file is the folder itself. */
export function add(into, found) {
  for (const { file, folder } of found) {
    const target = folder ? join(into, folder) : into;
    if (!file) {
      ensure(target).then(() => listing.refresh(), () => {});
      continue;
    }
    const item = { file, folder: target, name: file.name, nested: folder !== "", state: "waiting", sent: 0, why: "" };
    waiting.push(item);
    tray.show(item, { act: (what) => act(item, what) });
  }
  pump();
}

function act(item, what) {
  if (what === "cancel") cancel(item);
  else if (what === "retry") again(item);
  else conflicts.answer(item, what);
}

function again(item) {
  Object.assign(item, { state: "waiting", sent: 0, why: "" });
  waiting.push(item);
  tray.update(item);
  pump();
}

function cancel(item) {
  const at = waiting.indexOf(item);
  if (at >= 0) waiting.splice(at, 1);
  if (item.state === "failed") return tray.drop(item);
  item.stop?.abort();
  if (!active.has(item)) end(item, "cancelled");
}

function end(item, state, why = "") {
  Object.assign(item, { state, why });
  tray.update(item);
}

function pump() {
  while (active.size < AT_ONCE && waiting.length > 0) {
    const item = waiting.shift();
    active.add(item);
    run(item).finally(() => {
      active.delete(item);
      if (active.size === 0 && waiting.length === 0) conflicts.settle();
      pump();
    });
  }
}

function ensure(folder) {
  if (folder === "/") return Promise.resolve();
  if (!folders.has(folder)) {
    const made = call("POST", `${api}/folder`, { body: { path: folder, parents: true } });
    made.catch(() => folders.delete(folder));
    folders.set(folder, made);
  }
  return folders.get(folder);
}

async function run(item) {
  item.stop = new AbortController();
  try {
    if (item.nested) await ensure(item.folder);
    const answer = await place(item);
    if (!answer) return end(item, "skipped");
    item.sent = item.file.size;
    item.copies = answer.saved?.copies ?? 1;
    end(item, "saved");
    listing.refresh();
  } catch (problem) {
    if (item.stop.signal.aborted) return end(item, "cancelled");
    if (problem.status === 401) signIn();
    end(item, "failed", problem.message ?? String(problem));
  }
}

/** Under its name, or under the one that was agreed on when that is taken. */
async function place(item) {
  let condition = "create";
  for (let number = 1; number <= NAMES_MAX; number += 1) {
    try {
      return await persist(item, condition);
    } catch (problem) {
      if (problem.kind !== "exists" || condition !== "create") throw problem;
    }
    if (number === 1) {
      end(item, "exists");
      // Others need not wait for the answer.
      active.delete(item);
      pump();
      const choice = await conflicts.decide(item);
      active.add(item);
      end(item, "waiting");
      if (choice === "skip") return null;
      if (choice === "replace") {
        condition = "replace";
        number = NAMES_MAX - 1;
        continue;
      }
    }
    item.name = numbered(item.file.name, number + 1);
  }
  throw new Problem(409, { kind: "exists", message: say("upload_exists") });
}

/** Sends until it is saved or refused. The same version each time makes that harmless. */
async function persist(item, condition) {
  const path = join(item.folder, item.name);
  const query = new URLSearchParams({ path, condition, version: identity(), mtime: item.file.lastModified });
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        if (attempt === 0 && condition === "create" && item.file.size >= LOOK_FIRST) await look(path);
        return await sendOnce(item, query);
      } catch (problem) {
        if (item.stop.signal.aborted || !problem.passes || attempt + 1 >= TRIES) throw problem;
        await readable(item.file);
        query.set("again", true);
        end(item, "waiting", say("reconnecting"));
        trouble(item, true);
        await wait(attempt);
        if (item.stop.signal.aborted) throw problem;
      }
    }
  } finally {
    trouble(item, false);
  }
}

function sendOnce(item, query) {
  Object.assign(item, { sent: 0, began: performance.now() });
  end(item, "sending");
  return send(
    `${api}/file?${query}`,
    item.file,
    (sent, total) => {
      // The request's own bytes are the file's.
      item.sent = Math.min(sent, item.file.size);
      if (sent > 0 || total === 0) trouble(item, false);
      end(item, sent >= total ? "saving" : "sending");
    },
    item.stop.signal,
  );
}

async function look(path) {
  try {
    await call("GET", `${api}/entry?path=${encodeURIComponent(path)}`);
  } catch (problem) {
    if (problem.kind === "not_found") return;
    throw problem;
  }
  throw new Problem(409, { kind: "exists", message: say("upload_exists") });
}

/** A file that was moved or changed on this computer fails like a lost connection: tell them apart. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem(400, { kind: "unreadable", message: say("upload_unreadable") });
  }
}

/** Something is on its way or waits for an answer, which leaving this page would end. */
export const busy = () => active.size > 0 || waiting.length > 0 || conflicts.asking();

addEventListener("beforeunload", (event) => {
  if (busy()) event.preventDefault();
});
