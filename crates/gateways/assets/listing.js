// The folder that is shown: how it is read, again and on, and the way between folders.
import { call } from "./api.js";
import * as drawn from "./drawn.js";
import * as entries from "./entries.js";
import { Folder, PAGE, PAGE_MOST } from "./folder.js";
import { api, join, parent } from "./format.js";
import * as selection from "./selection.js";
import "./thumbs.js";
import { complain } from "./toast.js";
import { focus, paint, redraw, render, step } from "./view.js";
import { address, crumbs, heads, turned } from "./where.js";

export { columns, isGrid, rowOf, screenful, within } from "./drawn.js";
export { all, find, here, path, position } from "./entries.js";
export { chosen, clearSelection, current, flag, select, selectAll, selectOnly, selectTo, selection, setCurrent, toggle } from "./selection.js";
export { focus, mayFocus, render, step, toggleLook } from "./view.js";
export { folderOf, sortOf, viewAddress } from "./where.js";

/** Pages that are read again at once, at most: more are near only while something is looked for. */
const AGAIN_MAX = 8;
/** Milliseconds after which it shows how far it has come on the way to the end. */
const LOOK_EVERY = 250;
const main = document.getElementById("drive");

/** No more of an entry than is shown. */
const kept = ({ name, kind, size = 0, modified, thumbnail, starred = false }) => ({ name, kind, size, modified, thumbnail, starred });

async function read(path, sort, { cursor = null, limit = PAGE } = {}) {
  const query = new URLSearchParams({ path, limit, order: sort.by, reverse: sort.down });
  if (cursor !== null) query.set("cursor", cursor);
  const page = await call("GET", `${api}/list?${query}`);
  return { entries: page.entries.map(kept), next: page.next ?? null };
}

let latest = 0;

/** Shows a folder from its beginning. Latest wins. */
async function load(path, sort) {
  latest += 1;
  const mine = latest;
  const first = await read(path, sort);
  if (mine !== latest) return false;
  if (path !== entries.path()) {
    selection.none();
    drawn.clear();
  }
  entries.show(new Folder(sort, first), path, sort);
  heads();
  render();
  return true;
}

/** A column that is chosen again turns round. The pages of a long folder are read anew. */
export async function sortBy(by) {
  const sort = turned(by);
  try {
    if (entries.folder().short) entries.turn(sort);
    else if (!(await load(entries.path(), sort))) return;
  } catch (problem) {
    return complain(problem, () => sortBy(by));
  }
  history.replaceState({ folder: entries.path() }, "", address(entries.path()));
  heads();
  render();
}

let again = null;
/** Could not be read again: that waits until it is asked for. */
let failed = null;

/** Reads again what is near the screen, and the rest when that comes there. The names that came. */
export function refresh() {
  failed = null;
  entries.folder().outdate();
  return catchUp();
}

function catchUp() {
  again ??= readAgain();
  return again;
}

const near = () => entries.all().slice(...drawn.near());

async function readAgain() {
  const came = new Set();
  let folder;
  try {
    for (let reads = 0; reads < AGAIN_MAX; reads += 1) {
      folder = entries.folder();
      const page = folder.due(near());
      if (!page) break;
      for (const name of await readPage(folder, page)) came.add(name);
    }
  } catch (problem) {
    if (folder === entries.folder()) lost(problem);
  } finally {
    again = null;
  }
  return came;
}

/** Reads a page again. The names that are new. */
async function readPage(folder, page) {
  const { as, ...asked } = folder.asking(page);
  const sort = entries.sorted();
  const answer = await read(entries.path(), sort, asked);
  // Another one is shown by now, or in another order.
  if (folder !== entries.folder() || sort !== entries.sorted()) return [];
  const fresh = folder.renew(page, answer, as);
  render({ fresh });
  return fresh;
}

/** Goes to an entry that has just come, wherever in what was read. */
export async function goTo(name) {
  const folder = entries.folder();
  try {
    if (!entries.find(name)) {
      const { entry } = await call("GET", `${api}/entry?path=${encodeURIComponent(join(entries.path(), name))}`);
      const page = folder.pageOf(kept(entry));
      if (page && folder === entries.folder()) await readPage(folder, page);
    }
  } catch (problem) {
    // Somebody may have taken it away again.
    if (problem.kind !== "not_found") complain(problem);
  }
  if (folder === entries.folder()) focus(name);
}

function lost(problem) {
  if (problem.kind === "not_found" || problem.kind === "not_a_folder") return open(parent(entries.path()));
  failed = entries.folder();
  complain(problem, refresh);
}

let reading = null;

/** Reads on. Whether there was something, and it is still wanted. */
export function more(limit = PAGE) {
  const folder = entries.folder();
  if (reading?.folder !== folder) reading = { folder, done: readOn(folder, limit) };
  return reading.done;
}

async function readOn(folder, limit) {
  const { next } = folder;
  try {
    if (next === null) return false;
    const page = await read(entries.path(), entries.sorted(), { cursor: next, limit });
    if (folder !== entries.folder() || next !== folder.next) return false;
    entries.append(page);
    paint();
    return true;
  } catch (problem) {
    complain(problem, () => more());
    return false;
  } finally {
    reading = null;
  }
}

/** To the last entry, which may have to be read first: until somebody does something else. */
export async function toEnd(extend) {
  const folder = entries.folder();
  const going = new AbortController();
  const { signal } = going;
  for (const event of ["keydown", "pointerdown", "wheel"]) addEventListener(event, () => going.abort(), { capture: true, signal });
  step(Infinity, extend);
  let at = performance.now();
  while (folder === entries.folder() && folder.next !== null && !entries.wanted() && (await more(PAGE_MOST)) && !signal.aborted) {
    if (performance.now() - at < LOOK_EVERY && folder.next !== null) continue;
    at = performance.now();
    step(Infinity, extend && folder.next === null);
  }
  going.abort();
}

/** Entries that are surely not in that folder any more. */
export function forget(path, names) {
  if (path !== entries.path()) return;
  entries.folder().forget(names);
  render();
}

/** Goes to a folder. Uploads go on meanwhile, which is why this is no new page. */
export async function open(folder, { push = true, come = null, sort = entries.sorted() } = {}) {
  main.setAttribute("aria-busy", "true");
  try {
    if (!(await load(folder, sort))) return;
    if (push) history.pushState({ folder }, "", address(folder));
    crumbs();
    window.scrollTo(0, 0);
    focus(come ?? undefined);
  } catch (problem) {
    complain(problem, () => open(folder, { push, come, sort }));
    if (problem.kind === "not_found") refresh();
  } finally {
    main.removeAttribute("aria-busy");
  }
}

export function up() {
  if (entries.path() !== "/") open(parent(entries.path()), { come: entries.here() });
}

addEventListener("scroll", () => {
  redraw({ changed: false });
  if (failed !== entries.folder() && entries.folder().due(near())) catchUp();
}, { passive: true });

heads();
history.replaceState({ folder: entries.path() }, "");
