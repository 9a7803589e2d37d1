// What this browser remembers of uploads in parts, so that a page that was left goes on where it was. Whoever forbids storage can
// still upload, and go on as long as the page is there.
import { call } from "./api.js";

// At most so many.
const KEPT = "atoll-upload-";
const KEPT_MAX = 100;

/** Is it a record of this file? */
export const isOf = (kept, file) => kept.file === file.name && kept.size === file.size && kept.modified === file.lastModified;

/** The lock of the page that sends it. */
const lockOf = (kept) => `atoll-upload-${kept.upload}`;

/** Lets no other page send it as long as this one may. False if another does already. */
export function hold(item, kept) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((held) => {
    const keep = (lock) => {
      held(lock !== null);
      return lock && new Promise((done) => (item.release = done));
    };
    navigator.locks.request(lockOf(kept), { ifAvailable: true }, keep).catch(() => held(true));
  });
}

/** Does it once no other page sends that. */
export function free(kept, act) {
  if (navigator.locks) navigator.locks.request(lockOf(kept), act).catch(() => {});
  else act();
}

export function remember(kept) {
  if (!kept.owner) return;
  try {
    const old = all().filter((one) => one.upload !== kept.upload).sort((a, b) => a.at - b.at);
    for (const one of old.slice(0, Math.max(0, old.length + 1 - KEPT_MAX))) localStorage.removeItem(KEPT + one.upload);
    localStorage.setItem(KEPT + kept.upload, JSON.stringify(kept));
  } catch {
    // Forbidden, or full.
  }
}

/** Nothing of it is to go on any more. */
export function drop(kept) {
  try {
    localStorage.removeItem(KEPT + kept.upload);
  } catch {
    // Forbidden: nothing was remembered.
  }
}

/** Whoever signs out leaves no names of files behind. */
export function forget() {
  for (const one of all()) drop(one);
}

/** Everything that is remembered, whoever's it is; what is too old is not. */
export function all() {
  const found = [];
  try {
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(KEPT))) {
      const one = read(localStorage.getItem(key));
      if (one) found.push(one);
      else localStorage.removeItem(key);
    }
  } catch {
    // Forbidden.
  }
  return found;
}

function read(text) {
  try {
    const one = JSON.parse(text);
    const named = ["upload", "owner", "api", "path", "folder", "file", "name", "condition"].every((key) => typeof one[key] === "string");
    const counted = ["size", "modified", "at", "until"].every((key) => Number.isFinite(one[key])) && one.partBytes > 0;
    return named && counted && Date.now() < one.until ? one : null;
  } catch {
    return null;
  }
}

let me = null;
/** Who is signed in, as it never changes; empty if nobody could say, and then nothing is remembered. */
export function whose() {
  me ??= call("GET", "/api/v1/me").then(
    ({ user }) => user.id,
    () => {
      me = null;
      return "";
    },
  );
  return me;
}
