// The queue of uploads: a few at a time, each tried again until it is saved. It knows nothing of the page, nor of where the
// files go: `place` is that, with its routes and rights (uploads.js, guest.js), and `view` shows how each is, and asks.
import { Problem } from "./api.js";
import { join, numbered, say } from "./format.js";
import { leftBehind } from "./left.js";
import { giveUp, persist, settle, there } from "./upload.js";

const AT_ONCE = 3;
const NAMES_MAX = 200;
// Why an upload was stopped.
const PAUSE = "pause";
const CANCEL = "cancel";

/** What happened, what to do, and what to name it by when asking for help. */
function whyOf(problem) {
  const id = problem.id ? `(${say("error_reference")} ${problem.id})` : "";
  return [problem.message ?? String(problem), problem.action, id].filter(Boolean).join(" ");
}

/**
 * `add(into, found)` takes files for a folder; `busy()` tells whether something is on its way or waits for an answer, which
 * leaving this page would end.
 */
export function queue(place, view) {
  const waiting = [];
  const active = new Set();
  const paused = new Set();
  /** Folders that are being made, or were: each once. */
  const folders = new Map();
  const left = leftBehind(place, { show, again, drop: view.drop, complain: view.complain });

  /** Each may name a folder within it. One without a file is the folder itself, or, with the name of what could not be read, that. */
  function add(into, found) {
    // One answer may hold for all that were chosen together.
    const batch = Symbol(into);
    for (const { file, folder, unreadable } of found) {
      const target = folder ? join(into, folder) : into;
      if (unreadable) {
        failed(target, unreadable, say("upload_unreadable"));
        continue;
      }
      if (!file) {
        const name = target.slice(target.lastIndexOf("/") + 1);
        ensure(target).then(() => place.changed?.(), (problem) => failed(target, name, whyOf(problem), target));
        continue;
      }
      if (left.goesOn(target, file)) continue;
      const item = { ...blank(target, file.name), file, size: file.size, nested: folder !== "", batch };
      show(item);
      waiting.push(item);
    }
    pump();
  }

  function blank(folder, name) {
    return { file: null, makes: null, folder, name, size: 0, nested: false, state: "waiting", sent: 0, base: 0, why: "" };
  }

  /** What cannot be read, or a folder that could not be made: it is told like a file that failed. A folder is tried again. */
  function failed(folder, name, why, makes = null) {
    show({ ...blank(folder, name), state: "failed", why, makes });
  }

  function show(item) {
    item.place = place;
    item.tell = (state, why = "") => {
      Object.assign(item, { state, why });
      view.update(item);
    };
    view.show(item, { act: (what) => act(item, what), chosen: (file) => left.choose(item, file) });
  }

  function act(item, what) {
    if (what === "cancel") cancel(item);
    else if (what === "discard") left.discard(item);
    else if (what === "retry") again(item);
    else if (what !== "pause") view.answer(item, what);
    else if (paused.has(item)) resume(item);
    else pause(item);
  }

  function again(item) {
    item.tell("waiting");
    waiting.push(item);
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
    item.tell("paused");
  }

  function resume(item) {
    if (!paused.delete(item)) return;
    item.tell("waiting");
    // One that is still ending its last request goes on when that is over.
    if (!active.has(item)) waiting.push(item);
    pump();
  }

  view.onPauseAll((on) => {
    if (on) for (const item of [...active, ...waiting]) pause(item);
    else for (const item of [...paused]) resume(item);
  });

  function cancel(item) {
    unqueue(item);
    paused.delete(item);
    if (item.state === "failed") {
      giveUp(item);
      return view.drop(item);
    }
    if (active.has(item)) {
      item.stop.abort(CANCEL);
      // Paused and cancelled before its last request was over.
      item.cancelled = true;
    } else if (item.state === "exists") {
      item.cancelled = true;
      view.withdraw(item);
    } else {
      giveUp(item);
      item.tell("cancelled");
    }
  }

  function pump() {
    while (active.size < AT_ONCE && waiting.length > 0) {
      const item = waiting.shift();
      active.add(item);
      run(item).finally(() => {
        active.delete(item);
        // Going on was asked for before it had stopped.
        if (item.state === "waiting") waiting.push(item);
        if (active.size === 0 && waiting.length === 0) view.settle();
        pump();
      });
    }
  }

  function ensure(folder) {
    if (folder === "/") return Promise.resolve();
    if (!folders.has(folder)) {
      const made = place.makeFolder(folder);
      made.catch(() => folders.delete(folder));
      folders.set(folder, made);
    }
    return folders.get(folder);
  }

  async function run(item) {
    item.stop = new AbortController();
    const { signal } = item.stop;
    try {
      const answer = await placed(item);
      paused.delete(item);
      if (!answer) {
        giveUp(item);
        return item.tell(item.cancelled ? "cancelled" : "skipped");
      }
      settle(item);
      item.sent = item.size;
      item.copies = answer.saved?.copies ?? 1;
      item.wanted = answer.saved?.wanted ?? 1;
      item.tell("saved");
      place.changed?.(item);
    } catch (problem) {
      if (signal.aborted && !item.cancelled) {
        // Paused, or going on already.
        item.sent = there(item);
        return view.update(item);
      }
      if (signal.aborted) {
        giveUp(item);
        return item.tell("cancelled");
      }
      item.tell("failed", whyOf(problem));
    }
  }

  /** In its folder, which is made if need be. */
  async function placed(item) {
    if (item.makes) {
      await ensure(item.makes);
      return {};
    }
    if (!item.nested || !place.folderFirst) return named(item);
    await ensure(item.folder);
    try {
      return await named(item);
    } catch (problem) {
      if (problem.kind !== "not_found" || item.stop.signal.aborted) throw problem;
      // What was made here before has been deleted or renamed since.
      for (const folder of folders.keys()) if (`${item.folder}/`.startsWith(`${folder}/`)) folders.delete(folder);
      await ensure(item.folder);
      return named(item);
    }
  }

  /** Under its name, or under the one that was agreed on when that is taken. */
  async function named(item) {
    // As was agreed before it was interrupted.
    item.condition ??= "create";
    if (place.sentBefore?.(item) && (await ask(item, say("upload_sent_before"))) === "skip") return null;
    for (let number = 1; number <= NAMES_MAX; number += 1) {
      try {
        return await persist(item);
      } catch (problem) {
        if (problem.kind !== "exists" || item.condition !== "create" || item.stop.signal.aborted) throw problem;
      }
      if (number === 1) {
        const choice = await ask(item);
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

  /** What to do with it, since it is there already. */
  async function ask(item, why = "") {
    item.tell("exists", why);
    // Others need not wait for the answer.
    active.delete(item);
    pump();
    const choice = await view.decide(item);
    active.add(item);
    item.tell("waiting");
    return choice;
  }

  left.showAll();
  const busy = () => active.size > 0 || waiting.length > 0 || paused.size > 0 || view.asking();
  addEventListener("beforeunload", (event) => {
    if (busy()) event.preventDefault();
  });
  return { add, busy };
}
