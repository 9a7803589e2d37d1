// Texts filled in, sizes, speeds and dates. Sizes are as the server writes them (format.rs).
import text from "./text.js";

const UNITS = ["kB", "MB", "GB", "TB", "PB", "EB"];
// In the page's language, as the reader's region writes it where that is known.
const { lang } = document.documentElement;
const locale = navigator.languages.find((one) => one.split("-")[0] === lang) ?? lang;
const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });

/** The text of that name, with each `{key}` filled in, once: values are never looked at again. */
export function say(name, values = {}) {
  return text[name].replace(/\{(\w+)\}/g, (whole, key) => (key in values ? shown(String(values[key])) : whole));
}

// What changes how text around it reads, or is not seen, and joiners.
const treacherous = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const joiners = "\u200c\u200d";

/** A name as people may see it: the same is done on the server. */
export function shown(name) {
  // Joiners stay between letters that know them.
  const beyond = (at) => name.charCodeAt(at) > 0x7f;
  const stays = (c, at) => joiners.includes(c) && beyond(at - 1) && beyond(at + 1);
  return name.replace(treacherous, (c, at) => (stays(c, at) ? c : `\\u{${c.codePointAt(0).toString(16)}}`));
}

/** One text for one, another for any other number. */
export function count(one, many, number) {
  return number === 1 ? say(one) : say(many, { count: number });
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit + 1 < UNITS.length) {
    value /= 1000;
    unit += 1;
  }
  const shown = value < 9.95 ? value.toFixed(1).replace(".", text.decimal) : value.toFixed(0);
  return `${shown} ${UNITS[unit]}`;
}

export function speed(bytesPerSecond) {
  return `${size(Math.round(bytesPerSecond))}/s`;
}

export function percent(part) {
  return `${Math.floor(part * 100)} %`;
}

export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

export function date(milliseconds) {
  if (!milliseconds) return "";
  const then = new Date(milliseconds);
  return (then.toDateString() === new Date().toDateString() ? clock : day).format(then);
}

export function fullDate(milliseconds) {
  return milliseconds ? full.format(new Date(milliseconds)) : "";
}

/** `report.pdf`, 2 → `report (2).pdf`. */
export function numbered(name, number) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)} (${number})${name.slice(dot)}` : `${name} (${number})`;
}

export function join(folder, name) {
  return folder === "/" ? `/${name}` : `${folder}/${name}`;
}

export function parent(path) {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

// Where this drive's pages and calls are: those of a shared one under its own address.
export const base = document.body.dataset.base ?? "";
export const api = `/api/v1${base || "/drive"}`;
/** The drive as calls name it that copy from it. */
export const driveId = base ? base.slice(base.lastIndexOf("/") + 1) : "own";
/** Whether what is here may be changed: whoever may only look is offered nothing else. */
export const edits = !("lookOnly" in document.body.dataset);
export const driveName = document.body.dataset.drive ?? say("drive_root");

// Pages of a folder and of a file: in this drive, or in the one whose pages are under that address.
export function folderUrl(path, within = base) {
  return path === "/" ? `${within}/` : `${within}/drive${path.split("/").map(encodeURIComponent).join("/")}`;
}

export function viewUrl(path, within = base) {
  return `${within}/view${path.split("/").map(encodeURIComponent).join("/")}`;
}

export function thumbnailUrl(version) {
  return `${api}/thumbnail?version=${version}`;
}

export function fileUrl(path) {
  return `${api}/file?path=${encodeURIComponent(path)}`;
}
