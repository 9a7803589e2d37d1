// What this browser remembers of uploads in parts, so that a page that was left goes on where it was. Whoever forbids storage can
// still upload, and go on as long as the page is there.
import { call } from "./api.js";

// At most so many, and none that the server no longer keeps.
const KEPT = "atoll-upload-";
const KEPT_MAX = 100;
const KEPT_FOR = 6 * 24 * 3600 * 1000;

/** Is it a record of this file? */
export const isOf = (kept, file) => kept.file === file.name && kept.size === file.size && kept.modified === file.lastModified;

/** The lock of the page that sends it. */
export const lockOf = (kept) => `atoll-upload-${kept.upload}`;

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
    const counted = ["size", "modified", "at"].every((key) => Number.isFinite(one[key])) && one.partBytes > 0;
    return named && counted && Date.now() - one.at < KEPT_FOR ? one : null;
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
