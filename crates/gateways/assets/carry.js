// Entries that are dragged onto a folder, or onto one of the path, move there.
import { edits, join, say, shown } from "./format.js";
import * as listing from "./listing.js";
import { moveTo } from "./verbs.js";

/** Tells them from files of the desktop. */
export const TYPE = "application/x-atoll-entries";
const body = document.getElementById("entries");
let carried = null;
let marked = null;

function mark(target) {
  if (target === marked) return;
  marked?.classList.remove("target");
  target?.classList.add("target");
  marked = target;
}

/** Nothing is carried any more. */
function letGo() {
  mark(null);
  if (carried) listing.flag("carried-along", carried.names, false);
  carried = null;
}

/** What is under the mouse and takes them, with the folder that it stands for. */
function takerOf({ target, dataTransfer }) {
  // A row that went while it was dragged tells of no end.
  if (!carried || !dataTransfer.types.includes(TYPE) || !(target instanceof Element)) return null;
  const row = target.closest("#entries .row[data-kind=folder]");
  const crumb = target.closest("#crumbs a");
  if (row && !(carried.from === listing.path() && carried.names.includes(row.dataset.name))) return { mark: row, folder: join(listing.path(), row.dataset.name) };
  const folder = crumb && listing.folderOf(new URL(crumb.href));
  return crumb && folder !== carried.from ? { mark: crumb, folder } : null;
}

/** What the mouse takes along: their number, or the name. */
function picture(names) {
  const words = document.createElement("div");
  words.className = "carried";
  words.textContent = names.length === 1 ? shown(names[0]) : say("selected", { count: names.length });
  document.body.append(words);
  setTimeout(() => words.remove());
  return words;
}

body.addEventListener("dragstart", (event) => {
  const name = event.target.closest?.(".row")?.dataset.name;
  if (!edits || name === undefined || !event.target.closest(".name a")) return;
  const selected = listing.selection();
  const names = selected.has(name) ? listing.chosen().map((entry) => entry.name) : [name];
  carried = { from: listing.path(), names };
  event.dataTransfer.effectAllowed = "all";
  event.dataTransfer.setData(TYPE, "");
  event.dataTransfer.setDragImage(picture(names), -12, -8);
  listing.flag("carried-along", names);
});
document.addEventListener("dragover", (event) => {
  if (!carried) return;
  const taker = takerOf(event);
  mark(taker?.mark ?? null);
  if (!taker) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "move";
});
document.addEventListener("drop", (event) => {
  const taker = takerOf(event);
  if (!taker) return;
  event.preventDefault();
  const { from, names } = carried;
  letGo();
  moveTo(from, names, taker.folder);
});
document.addEventListener("dragend", letGo);
