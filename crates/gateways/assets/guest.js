// Handing in files by a link, with progress. Without scripts the form does the same.
import { call, wait } from "./api.js";
import { percent, say, shown, speed } from "./format.js";
import { send, sendParts } from "./send.js";

const TRIES = 14;
// Files go in parts from this size on. Chosen again, after the page was left, they go on where they broke off.
const IN_PARTS = 16 * 1024 * 1024;
const KEPT = "atoll-guest-";
const KEPT_MAX = 50;
const KEPT_FOR = 20 * 3600 * 1000;
// Files of many parts take long to get their names.
const COMPLETE_MAX = 600_000;
const form = document.getElementById("hand-in");
const files = document.getElementById("files");
const list = document.getElementById("handed-in");
const blank = document.getElementById("handing-in");

/** The same for each try of the same file, so that none is put twice. */
function identity() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function show(file) {
  const item = blank.content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`[data-part=${name}]`);
  part("name").textContent = shown(file.name);
  part("progress").setAttribute("aria-label", shown(file.name));
  list.append(item);
  const say = (words) => (part("state").textContent = words);
  return { item, say, progress: part("progress") };
}

/** Does it again as long as what broke it passes. */
async function persevere(shown, act, signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await act();
    } catch (problem) {
      if (signal?.aborted || !problem.passes || attempt + 1 >= TRIES) throw problem;
      shown.say(say("reconnecting"));
      await wait(attempt);
    }
  }
}

function hand(file, shown) {
  const began = performance.now();
  let base = null;
  const watch = (sent, total) => {
    base ??= sent;
    shown.progress.value = total > 0 ? sent / total : 1;
    const seconds = (performance.now() - began) / 1000;
    const rate = speed((sent - base) / Math.max(seconds, 0.1));
    shown.say(sent >= total ? say("upload_saving") : say("upload_sending", { percent: percent(sent / total), speed: rate }));
  };
  return file.size >= IN_PARTS ? inParts(file, shown, watch) : whole(file, shown, watch);
}

function whole(file, shown, watch) {
  const query = new URLSearchParams({ name: file.name.normalize("NFC"), version: identity(), mtime: file.lastModified });
  return persevere(shown, () => send(`${form.action}?${query}`, file, watch, new AbortController().signal));
}

async function inParts(file, shown, watch) {
  const uploads = form.action.replace(/upload$/, "uploads");
  const name = file.name.normalize("NFC");
  const key = `${KEPT}${JSON.stringify([uploads, file.name, file.size, file.lastModified])}`;
  const at = (kept, rest = "") => `${uploads}/${kept.upload}${rest}?${new URLSearchParams({ name })}`;
  let { kept, have, saved } = await left(key, at);
  if (!kept) {
    const body = { name, size: file.size, mtime: file.lastModified, type: file.type, upload: identity() };
    const { upload, part_bytes: partBytes } = await call("POST", uploads, { body });
    kept = { upload, partBytes, at: Date.now() };
    have = new Map();
    remember(key, kept);
  }
  if (!saved) {
    await sendParts(file, {
      url: (n) => at(kept, `/parts/${n}`),
      partBytes: kept.partBytes,
      have,
      persevere: (act, signal) => persevere(shown, act, signal),
      watch: (sent) => watch(sent, file.size),
      signal: new AbortController().signal,
    });
  }
  shown.say(say("upload_saving"));
  await call("POST", `${uploads}/${kept.upload}/complete`, { body: { name }, within: COMPLETE_MAX });
  forget(key);
}

/** What of the same file is there from before. */
async function left(key, at) {
  let kept;
  try {
    kept = JSON.parse(localStorage.getItem(key));
  } catch {
    // Forbidden, or nothing of ours.
  }
  if (!kept) return {};
  try {
    const { parts, saved } = await call("GET", at(kept));
    return { kept, saved, have: new Map(parts.map((part) => [part.number, part.size])) };
  } catch (problem) {
    if (problem.kind !== "no_such_upload") throw problem;
    // It has gone.
    forget(key);
    return {};
  }
}

function remember(key, kept) {
  try {
    const ours = Object.keys(localStorage).filter((one) => one.startsWith(KEPT));
    const old = ours.filter((one) => !(JSON.parse(localStorage.getItem(one))?.at > Date.now() - KEPT_FOR));
    for (const one of ours.length >= KEPT_MAX ? ours : old) localStorage.removeItem(one);
    localStorage.setItem(key, JSON.stringify(kept));
  } catch {
    // Forbidden, or full: then it goes on only as long as this page is there.
  }
}

function forget(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // Forbidden.
  }
}

let underWay = 0;
addEventListener("beforeunload", (event) => underWay > 0 && event.preventDefault());

async function all(chosen) {
  const shown = chosen.map((file) => [file, show(file)]);
  for (const [, it] of shown) it.say(say("upload_waiting"));
  underWay += shown.length;
  for (const [file, it] of shown) {
    try {
      await hand(file, it);
      it.item.classList.add("done");
      it.progress.value = 1;
      it.say(say("upload_saved"));
    } catch (problem) {
      it.item.classList.add("failed");
      it.say(say("upload_failed", { why: [problem.message, problem.action].filter(Boolean).join(" ") }));
    }
    underWay -= 1;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...files.files];
  form.reset();
  document.getElementById("done").hidden = true;
  all(chosen);
});

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  all([...event.dataTransfer.files]);
});
