// One entry's row: made of the page's own template, so that server and script show the same.
import { date, folderUrl, fullDate, join, say, shown, size, thumbnailUrl, viewUrl } from "./format.js";

const template = document.getElementById("row");

export function entryOf(row) {
  const { name, kind, size: bytes, modified, thumbnail, starred } = row.dataset;
  return { name, kind, size: Number(bytes), modified: Number(modified), thumbnail, starred: starred !== undefined };
}

export function fill(row, folder, entry) {
  const path = join(folder, entry.name);
  const isFolder = entry.kind === "folder";
  Object.assign(row.dataset, {
    name: entry.name,
    kind: entry.kind,
    size: entry.size ?? 0,
    modified: entry.modified ?? 0,
  });
  const link = row.querySelector("a");
  link.href = isFolder ? folderUrl(path) : viewUrl(path);
  link.tabIndex = -1;
  face(row, entry.thumbnail);
  row.toggleAttribute("data-starred", Boolean(entry.starred));
  row.querySelector(".starred").toggleAttribute("hidden", !entry.starred);
  row.querySelector(".label").textContent = shown(entry.name);
  link.title = shown(entry.name);
  row.querySelector(".size").textContent = isFolder ? "" : size(entry.size);
  const time = row.querySelector("time");
  time.textContent = date(entry.modified);
  time.title = fullDate(entry.modified);
  time.dateTime = entry.modified ? new Date(entry.modified).toISOString() : "";
  row.querySelector(".pick input").setAttribute("aria-label", shown(entry.name));
  row.querySelector(".do button").setAttribute("aria-label", say("actions_for", { name: entry.name }));
  return row;
}

/** A small picture over the icon, which shows until it is there. */
function face(row, thumbnail) {
  const before = row.querySelector("img");
  if (!thumbnail) {
    delete row.dataset.thumbnail;
    return before?.remove();
  }
  row.dataset.thumbnail = thumbnail;
  const src = thumbnailUrl(thumbnail);
  if (before?.getAttribute("src") === src) return;
  before?.remove();
  const image = document.createElement("img");
  Object.assign(image, { className: "thumb", alt: "", loading: "lazy", decoding: "async", draggable: false, src });
  row.querySelector(".face").append(image);
}

export function make(folder, entry) {
  return fill(template.content.cloneNode(true).firstElementChild, folder, entry);
}

export function same(row, entry) {
  const { name, kind, size: bytes, modified, thumbnail } = row.dataset;
  return (
    thumbnail === entry.thumbnail &&
    "starred" in row.dataset === Boolean(entry.starred) &&
    name === entry.name && kind === entry.kind && bytes === String(entry.size ?? 0) && modified === String(entry.modified)
  );
}
