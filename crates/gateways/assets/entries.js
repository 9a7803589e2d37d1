// The entries of the folder that is shown, in the order in which they are shown: each knows its place.
import { Folder } from "./folder.js";
import { driveName } from "./format.js";
import { entryOf } from "./rows.js";

const main = document.getElementById("drive");
const filter = document.getElementById("filter");
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const sort = { by: main.dataset.order, down: main.dataset.reverse === "true" };

const there = [...document.querySelectorAll("#entries > .row")].map(entryOf);
const state = {
  path: main.dataset.path,
  sort,
  folder: new Folder(sort, { entries: there, next: main.dataset.cursor || null }),
  list: [],
};

export const path = () => state.path;
export const here = () => (state.path === "/" ? driveName : state.path.slice(state.path.lastIndexOf("/") + 1));
export const sorted = () => state.sort;
export const folder = () => state.folder;
/** All that are shown; of a long folder, as far as it was read. */
export const all = () => state.list;
export const wanted = () => filter.value.trim();

/** An entry of the folder, by its name, whether it is shown or not. */
export const find = (name) => state.folder.find(name);

/** Where it is among those that are shown; -1 if it is not. */
export const position = (name) => find(name)?.at ?? -1;

/** Another folder, or the same in another order. */
export function show(folder, path, order) {
  if (path !== state.path) filter.value = "";
  Object.assign(state, { path, folder, sort: order });
  main.dataset.path = path;
}

/** A folder that came at once needs nobody to be sorted anew. */
export function turn(order) {
  state.sort = order;
  state.folder.turn(order);
}

function order(left, right) {
  const { by, down } = state.sort;
  if (left.kind !== right.kind) return left.kind === "folder" ? -1 : 1;
  const value = by === "name" ? 0 : left[by] - right[by];
  const names = collator.compare(left.name, right.name) || (left.name < right.name ? -1 : 1);
  return (down ? -1 : 1) * (value || names);
}

/** Puts them in their places, after something has come, gone or is looked for. */
export function arrange() {
  const entries = state.folder.entries();
  const words = wanted().toLocaleLowerCase();
  if (words) for (const entry of entries) entry.at = -1;
  state.list = words ? entries.filter((entry) => (entry.plain ??= entry.name.toLocaleLowerCase()).includes(words)) : entries;
  // The pages of a long folder come in the store's order, which nothing must disturb.
  if (state.folder.short) state.list.sort(order);
  for (const [at, entry] of state.list.entries()) entry.at = at;
}

/** The page that follows those that were read. */
export function append(page) {
  if (!state.folder.append(page) || wanted()) return arrange();
  for (const entry of page.entries) entry.at = state.list.push(entry) - 1;
}
