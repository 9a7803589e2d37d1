// The queue of uploads: a few at a time, each tried again with the same identity until it is saved. Long files go in parts:
// what is there stays there, over a pause, a lost connection and, remembered by this browser, a page that was left.
import { Problem, call, signIn, trouble, wait } from "./api.js";
import * as conflicts from "./conflicts.js";
import { api, edits, join, numbered, say } from "./format.js";
import { all, drop, isOf, lockOf, remember, whose } from "./kept.js";
import * as listing from "./listing.js";
import { send, sendParts } from "./send.js";
import { complain } from "./toast.js";
import * as tray from "./tray.js";

const AT_ONCE = 3;
const TRIES = 14;
const NAMES_MAX = 200;
// From this size on, a name that is taken is better found out before sending.
const LOOK_FIRST = 256 * 1024;
// Files go in parts from this size on, if what the parts are kept under has room for their path (bytes of UTF-8).
const IN_PARTS = 16 * 1024 * 1024;
const PATH_MAX = 900;
// The server has lost what was begun: so often it is begun anew.
const ANEW_MAX = 2;
// Files of many parts take long to get their names.
const COMPLETE_MAX = 600_000;
// Why an upload was stopped.
const PAUSE = "pause";
const CANCEL = "cancel";

const waiting = [];
const active = new Set();
const paused = new Set();
/** Those that a page left behind: their file is to be chosen again. */
const interrupted = new Set();
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
    const left = [...interrupted].find((one) => one.kept.folder === target && isOf(one.kept, file));
    // Whether something is to be replaced is asked anew: days may lie between.
    if (left) goOn(Object.assign(left, { condition: "create" }), file);
    else {
      const item = { file, folder: target, name: file.name, size: file.size, nested: folder !== "", state: "waiting", sent: 0, base: 0, why: "" };
      show(item);
      waiting.push(item);
    }
  }
  pump();
}

function show(item) {
  tray.show(item, { act: (what) => act(item, what), chosen: (file) => choose(item, file) });
}

function act(item, what) {
  if (what === "cancel") cancel(item);
  else if (what === "discard") discard(item);
  else if (what === "retry") again(item);
  else if (what !== "pause") conflicts.answer(item, what);
  else if (paused.has(item)) resume(item);
  else pause(item);
}

function again(item) {
  Object.assign(item, { state: "waiting", why: "" });
  waiting.push(item);
  tray.update(item);
  pump();
}

function unqueue(item) {
  const at = waiting.indexOf(item);
  if (at >= 0) waiting.splice(at, 1);
}

/** What is there stays there. A file that is being given its name is past that. */
function pause(item) {
  if (item.state !== "waiting" && item.state !== "sending") return;
  unqueue(item);
  paused.add(item);
  if (active.has(item)) item.stop.abort(PAUSE);
  end(item, "paused");
}

function resume(item) {
  if (!paused.delete(item)) return;
  end(item, "waiting");
  // One that is still ending its last request goes on when that is over.
  if (!active.has(item)) waiting.push(item);
  pump();
}

tray.onPauseAll((on) => {
  if (on) for (const item of [...active, ...waiting]) pause(item);
  else for (const item of [...paused]) resume(item);
});

function cancel(item) {
  unqueue(item);
  paused.delete(item);
  if (item.state === "failed") {
    giveUp(item);
    return tray.drop(item);
  }
  if (active.has(item)) {
    item.stop.abort(CANCEL);
    // Paused and cancelled before its last request was over.
    item.cancelled = true;
  } else {
    giveUp(item);
    end(item, "cancelled");
  }
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
      // Going on was asked for before it had stopped.
      if (item.state === "waiting") waiting.push(item);
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
  const { signal } = item.stop;
  try {
    if (item.nested) await ensure(item.folder);
    const answer = await place(item);
    paused.delete(item);
    if (!answer) {
      giveUp(item);
      return end(item, "skipped");
    }
    forget(item);
    item.sent = item.size;
    item.copies = answer.saved?.copies ?? 1;
    end(item, "saved");
    listing.refresh();
  } catch (problem) {
    if (signal.aborted && !item.cancelled) {
      // Paused, or going on already.
      item.sent = there(item);
      return tray.update(item);
    }
    if (signal.aborted) {
      giveUp(item);
      return end(item, "cancelled");
    }
    if (problem.status === 401) signIn();
    end(item, "failed", problem.message ?? String(problem));
  }
}

/** Under its name, or under the one that was agreed on when that is taken. */
async function place(item) {
  // As was agreed before it was interrupted.
  item.condition ??= "create";
  for (let number = 1; number <= NAMES_MAX; number += 1) {
    try {
      return await persist(item);
    } catch (problem) {
      if (problem.kind !== "exists" || item.condition !== "create" || item.stop.signal.aborted) throw problem;
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
        item.condition = "replace";
        number = NAMES_MAX - 1;
        continue;
      }
    }
    item.name = numbered(item.file.name, number + 1);
  }
  throw new Problem(409, { kind: "exists", message: say("upload_exists") });
}

/** Sends until it is saved or refused. The same version each time makes that harmless. */
async function persist(item) {
  const path = join(item.folder, item.name);
  try {
    const long = item.size >= IN_PARTS && new TextEncoder().encode(path).length <= PATH_MAX;
    return item.kept || long ? await persistParts(item, path) : await persistWhole(item, path);
  } finally {
    trouble(item, false);
  }
}

async function persistWhole(item, path) {
  const { condition } = item;
  // A pause is no reason for another version: what was sent before it may have been saved.
  if (item.tried?.path !== path || item.tried.condition !== condition) {
    if (condition === "create" && item.size >= LOOK_FIRST) await look(path);
    item.tried = { path, condition, version: identity(), again: false };
  }
  const query = new URLSearchParams({ path, condition, version: item.tried.version, mtime: item.file.lastModified });
  return persevere(item, () => {
    if (item.stop.signal.aborted) throw new Problem(0);
    if (item.tried.again) query.set("again", true);
    item.tried.again = true;
    return sendOnce(item, query);
  });
}

/** Does it again as long as what broke it passes. */
async function persevere(item, act, signal = item.stop.signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await act();
    } catch (problem) {
      if (signal.aborted || !problem.passes || attempt + 1 >= TRIES) throw problem;
      await readable(item.file);
      if (signal.aborted) throw problem;
      end(item, "waiting", say("reconnecting"));
      trouble(item, true);
      await wait(attempt);
      if (signal.aborted) throw problem;
    }
  }
}

function sendOnce(item, query) {
  Object.assign(item, { sent: 0, base: 0, began: performance.now() });
  end(item, "sending");
  return send(
    `${api}/file?${query}`,
    item.file,
    (sent, total) => {
      if (item.stop.signal.aborted) return;
      // The request's own bytes are the file's.
      item.sent = Math.min(sent, item.size);
      if (sent > 0 || total === 0) trouble(item, false);
      end(item, sent >= total ? "saving" : "sending");
    },
    item.stop.signal,
  );
}

const partsUrl = (kept, rest = "") => `${kept.api}/uploads/${encodeURIComponent(kept.upload)}${rest}`;
const withPath = (kept) => `?path=${encodeURIComponent(kept.path)}`;
/** Bytes that the server has of it. */
const there = (item) => (item.have ? [...item.have.values()].reduce((sum, size) => sum + size, 0) : 0);

async function persistParts(item, path) {
  for (let anew = 0; ; anew += 1) {
    try {
      if (item.kept && !item.have && !(await ask(item, item.kept))) forget(item);
      if (!item.kept) await begin(item, path);
      // A page that was left may have come to its end.
      if (!item.saved) await sendRest(item);
      end(item, "saving");
      return await complete(item);
    } catch (problem) {
      if (problem.kind !== "no_such_upload" || !item.kept || item.stop.signal.aborted || anew >= ANEW_MAX) throw problem;
      // It has gone: nothing of it is there.
      forget(item);
    }
  }
}

/** Where the same file was left off, or else at its first byte. */
async function begin(item, path) {
  const owner = await whose();
  const same = all().filter((one) => one.owner === owner && one.api === api && one.folder === item.folder);
  for (const one of same) {
    if (!isOf(one, item.file) || !(await hold(item, one))) continue;
    let known;
    try {
      known = await ask(item, one);
    } catch (problem) {
      item.release?.();
      throw problem;
    }
    // Whether something is to be replaced is asked anew: days may lie between.
    if (known) return Object.assign(item, { kept: one, name: one.name });
    forget(item, one);
  }
  const { file, condition } = item;
  const body = { path, size: file.size, mtime: file.lastModified, type: file.type, condition, upload: identity() };
  const { upload, part_bytes: partBytes } = await call("POST", `${api}/uploads`, { body });
  const about = { file: file.name, size: file.size, modified: file.lastModified, at: Date.now() };
  const kept = { upload, owner, api, path, folder: item.folder, name: item.name, condition, partBytes, ...about };
  Object.assign(item, { kept, have: new Map(), saved: false });
  await hold(item, kept);
  remember(kept);
}

/** What the server has of it; false if it has gone. */
async function ask(item, kept) {
  try {
    const { parts, saved } = await call("GET", partsUrl(kept, withPath(kept)));
    Object.assign(item, { have: new Map(parts.map((part) => [part.number, part.size])), saved });
    item.sent = saved ? kept.size : there(item);
    return true;
  } catch (problem) {
    if (problem.kind === "no_such_upload") return false;
    throw problem;
  }
}

async function sendRest(item) {
  const { kept, have, file } = item;
  // Not all of it was sent now: speed is told of what is.
  item.base = there(item);
  item.began = performance.now();
  await sendParts(file, {
    url: (n) => partsUrl(kept, `/parts/${n}${withPath(kept)}`),
    partBytes: kept.partBytes,
    have,
    persevere: (act, signal) => persevere(item, act, signal),
    watch: (sent) => {
      if (item.stop.signal.aborted) return;
      if (sent > item.sent) trouble(item, false);
      item.sent = sent;
      end(item, "sending");
    },
    signal: item.stop.signal,
  });
}

/** Gives the file its name. Asked for twice, it is done once. */
async function complete(item) {
  const { kept, condition } = item;
  // Should this page be left now, another asks for the same.
  Object.assign(kept, { name: item.name, condition });
  remember(kept);
  const body = { path: kept.path, to: join(item.folder, item.name), condition, mtime: kept.modified };
  try {
    return await call("POST", partsUrl(kept, "/complete"), { body, within: COMPLETE_MAX });
  } catch (problem) {
    // It was saved by an earlier try, and has been changed or moved since.
    const since = problem.kind === "changed" || problem.kind === "not_found";
    if (since && (await ask(item, kept)) && item.saved) return {};
    throw problem;
  }
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

/** Ends what was begun in parts, also on the server, which else would keep it for days. */
function giveUp(item) {
  const { kept } = item;
  forget(item);
  // If nobody hears it now, the server finds out by itself.
  if (kept) call("DELETE", partsUrl(kept, withPath(kept))).catch(() => {});
}

async function discard(item) {
  if (!(await hold(item, item.kept))) return complain({ message: say("upload_elsewhere", { name: item.kept.file }) });
  try {
    await call("DELETE", partsUrl(item.kept, withPath(item.kept)));
  } catch (problem) {
    if (problem.kind !== "no_such_upload") {
      item.release?.();
      return complain(problem);
    }
  }
  interrupted.delete(item);
  forget(item);
  tray.drop(item);
}

/** The file of one that was interrupted, or another. */
function choose(item, file) {
  if (!isOf(item.kept, file)) return complain({ message: say("upload_other_file", { name: item.kept.file }) });
  goOn(item, file);
}

async function goOn(item, file) {
  if (!interrupted.delete(item)) return;
  if (!(await hold(item, item.kept))) {
    interrupted.add(item);
    return complain({ message: say("upload_elsewhere", { name: item.kept.file }) });
  }
  // What is there may have changed since it was shown.
  Object.assign(item, { file, have: null });
  // The list may have been cleared.
  show(item);
  again(item);
}

function forget(item, kept = item.kept) {
  if (kept) drop(kept);
  item.release?.();
  Object.assign(item, { kept: null, have: null, saved: false, release: null });
}

/** Lets no other page send it as long as this one may. False if another does already. */
function hold(item, kept) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((held) => {
    const keep = (lock) => {
      held(lock !== null);
      return lock && new Promise((done) => (item.release = done));
    };
    navigator.locks.request(lockOf(kept), { ifAvailable: true }, keep).catch(() => held(true));
  });
}

/** Shows what a page left behind, also one that is left from now on. */
async function showInterrupted() {
  if (!edits) return;
  const found = all().filter((one) => one.api === api);
  const owner = found.length > 0 && (await whose());
  for (const kept of found.filter((one) => one.owner === owner).sort((a, b) => a.at - b.at)) {
    if (navigator.locks) navigator.locks.request(lockOf(kept), () => showLeft(kept)).catch(() => {});
    else await showLeft(kept);
  }
}

async function showLeft({ upload }) {
  // It may have come to its end, or gone on elsewhere, meanwhile.
  const kept = all().find((one) => one.upload === upload);
  if (!kept) return;
  const item = { kept, file: null, folder: kept.folder, name: kept.name, size: kept.size, nested: false, condition: kept.condition, state: "interrupted", sent: 0, base: 0, why: "" };
  try {
    if (!(await ask(item, kept)) || item.saved) return forget(item);
  } catch {
    // How much is there shows when it goes on.
  }
  interrupted.add(item);
  show(item);
}

showInterrupted();

/** Something is on its way or waits for an answer, which leaving this page would end. */
export const busy = () => active.size > 0 || waiting.length > 0 || paused.size > 0 || conflicts.asking();

addEventListener("beforeunload", (event) => {
  if (busy()) event.preventDefault();
});
