// One file on its way. Long ones go in parts: what is there stays there, over a pause, a lost connection and, remembered by this
// browser, a page that was left. `item.place` says by which routes, `item.tell` how it is.
import { Problem, trouble, wait } from "./api.js";
import { say } from "./format.js";
import { all, drop, hold, isOf, remember } from "./kept.js";
import { send, sendParts } from "./send.js";

const TRIES = 14;
// From this size on, a name that is taken is better found out before sending.
const LOOK_FIRST = 256 * 1024;
// Files go in parts from this size on.
const IN_PARTS = 16 * 1024 * 1024;
// The server has lost what was begun: so often it is begun anew.
const ANEW_MAX = 2;

/** Of our choice, and the same each time: that makes trying again harmless. */
export function identity() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes that the server has of it. */
export const there = (item) => (item.have ? [...item.have.values()].reduce((sum, size) => sum + size, 0) : 0);

/** Sends until it is saved or refused. */
export async function persist(item) {
  try {
    const long = item.size >= IN_PARTS && item.place.inParts(item);
    return item.kept || long ? await persistParts(item) : await persistWhole(item);
  } finally {
    trouble(item, false);
  }
}

async function persistWhole(item) {
  const { condition, name, place } = item;
  // A pause is no reason for another version: what was sent before it may have been saved.
  if (item.tried?.name !== name || item.tried.condition !== condition) {
    if (condition === "create" && item.size >= LOOK_FIRST) await place.look?.(item);
    item.tried = { name, condition, version: identity(), again: false };
  }
  return persevere(item, () => {
    if (item.stop.signal.aborted) throw new Problem(0);
    const url = place.fileUrl(item, item.tried);
    item.tried.again = true;
    return sendOnce(item, url);
  });
}

/** Does it again as long as what broke it passes. */
async function persevere(item, act, signal = item.stop.signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await act();
    } catch (problem) {
      const slower = problem.status === 429;
      if (signal.aborted || !(problem.passes || slower) || attempt + 1 >= TRIES) throw problem;
      await readable(item.file);
      if (signal.aborted) throw problem;
      item.tell("waiting", say("reconnecting"));
      trouble(item, true);
      await wait(attempt, slower ? problem.retryAfter : 0);
      if (signal.aborted) throw problem;
    }
  }
}

function sendOnce(item, url) {
  Object.assign(item, { sent: 0, base: 0, began: performance.now() });
  item.tell("sending");
  return send(
    url,
    item.file,
    (sent, total) => {
      if (item.stop.signal.aborted) return;
      // The request's own bytes are the file's.
      item.sent = Math.min(sent, item.size);
      if (sent > 0 || total === 0) trouble(item, false);
      item.tell(sent >= total ? "saving" : "sending");
    },
    item.stop.signal,
  );
}

async function persistParts(item) {
  for (let anew = 0; ; anew += 1) {
    try {
      if (item.kept && !item.have && !(await ask(item, item.kept))) settle(item);
      if (!item.kept) await begin(item);
      // A page that was left may have come to its end.
      if (!item.saved) await sendRest(item);
      item.tell("saving");
      return await complete(item);
    } catch (problem) {
      if (problem.kind !== "no_such_upload" || !item.kept || item.stop.signal.aborted || anew >= ANEW_MAX) throw problem;
      // It has gone: nothing of it is there.
      settle(item);
    }
  }
}

/** Where the same file was left off, or else at its first byte. */
async function begin(item) {
  const { file, place, folder } = item;
  const owner = await place.owner();
  for (const one of all().filter((one) => one.owner === owner && one.api === place.id && one.folder === folder)) {
    if (!isOf(one, file) || !(await hold(item, one))) continue;
    let known;
    try {
      known = await ask(item, one);
    } catch (problem) {
      item.release?.();
      throw problem;
    }
    // Whether something is to be replaced is asked anew: days may lie between.
    if (known) return Object.assign(item, { kept: one, name: one.name });
    settle(item, one);
  }
  const { path, batch = "" } = place.where(item);
  const about = { size: file.size, mtime: file.lastModified, type: file.type, upload: identity() };
  const { upload, part_bytes: partBytes } = await persevere(item, () => place.begin(item, about));
  const at = Date.now();
  const known = { file: file.name, size: file.size, modified: file.lastModified, at, until: at + place.keptFor };
  const kept = { upload, owner, api: place.id, path, batch, folder, name: item.name, condition: item.condition, partBytes, ...known };
  Object.assign(item, { kept, have: new Map(), saved: false });
  await hold(item, kept);
  remember(kept);
}

/** What the server has of it; false if it has gone. */
export async function ask(item, kept) {
  try {
    const { parts, saved } = await item.place.uploaded(kept);
    Object.assign(item, { have: new Map(parts.map((part) => [part.number, part.size])), saved });
    item.sent = saved ? kept.size : there(item);
    return true;
  } catch (problem) {
    if (problem.kind === "no_such_upload") return false;
    throw problem;
  }
}

async function sendRest(item) {
  const { kept, have, file, place } = item;
  // Not all of it was sent now: speed is told of what is.
  item.base = there(item);
  item.began = performance.now();
  await sendParts(file, {
    url: (n) => place.partUrl(kept, n),
    partBytes: kept.partBytes,
    have,
    persevere: (act, signal) => persevere(item, act, signal),
    watch: (sent) => {
      if (item.stop.signal.aborted) return;
      if (sent > item.sent) trouble(item, false);
      item.sent = sent;
      item.tell("sending");
    },
    signal: item.stop.signal,
  });
}

/** Gives the file its name. Asked for twice, it is done once. */
async function complete(item) {
  const { kept, condition, place } = item;
  // Should this page be left now, another asks for the same.
  Object.assign(kept, { name: item.name, condition });
  remember(kept);
  try {
    return await persevere(item, () => place.complete(kept, item));
  } catch (problem) {
    // It was saved by an earlier try, and has been changed or moved since.
    const since = problem.kind === "changed" || problem.kind === "not_found";
    if (since && (await ask(item, kept)) && item.saved) return {};
    throw problem;
  }
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
export function giveUp(item) {
  const { kept, place } = item;
  settle(item);
  // If nobody hears it now, the server finds out by itself.
  if (kept) place.abandon(kept).catch(() => {});
}

/** Nothing is to go on here any more: it is saved, or gone. */
export function settle(item, kept = item.kept) {
  if (kept) drop(kept);
  item.release?.();
  Object.assign(item, { kept: null, have: null, saved: false, release: null });
}
