// The folder that is shown: its entries, their order, what is selected, and the way between folders.
import { call } from "./api.js";
import { api, base, count, driveName, edits, folderUrl, join, parent, say, shown, viewUrl } from "./format.js";
import * as rows from "./rows.js";
import "./thumbs.js";
import { complain } from "./toast.js";

const main = document.getElementById("drive");
const table = document.getElementById("listing");
const body = document.getElementById("entries");
const filter = document.getElementById("filter");
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const PAGE = 500;

const state = {
  path: main.dataset.path,
  entries: [...body.rows].map(rows.entryOf),
  next: main.dataset.cursor || null,
  selected: new Set(),
  current: null,
  anchor: null,
  sort: { by: main.dataset.order, down: main.dataset.reverse === "true" },
  load: 0,
};

export const path = () => state.path;
export const here = () => (state.path === "/" ? driveName : state.path.slice(state.path.lastIndexOf("/") + 1));
export const has = (name) => state.entries.some((entry) => entry.name === name);
export const find = (name) => state.entries.find((entry) => entry.name === name);
export const current = () => find(state.current);

/** What a verb applies to: the selection, or else the row with the focus. */
export function chosen() {
  const selected = state.entries.filter((entry) => state.selected.has(entry.name));
  return selected.length > 0 ? selected : [current()].filter(Boolean);
}

function order(left, right) {
  const { by, down } = state.sort;
  if (left.kind !== right.kind) return left.kind === "folder" ? -1 : 1;
  const value = by === "name" ? 0 : (left[by] ?? 0) - (right[by] ?? 0);
  const names = collator.compare(left.name, right.name) || (left.name < right.name ? -1 : 1);
  return (down ? -1 : 1) * (value || names);
}

function filtered() {
  const wanted = filter.value.trim().toLocaleLowerCase();
  const entries = wanted ? state.entries.filter((entry) => entry.name.toLocaleLowerCase().includes(wanted)) : [...state.entries];
  // The pages of a long folder come in the store's order, which nothing must disturb.
  return state.next ? entries : entries.sort(order);
}

export function rowOf(name) {
  return [...body.rows].find((row) => row.dataset.name === name);
}

export function render({ fresh = new Set() } = {}) {
  const there = new Set(state.entries.map((entry) => entry.name));
  for (const name of state.selected) if (!there.has(name)) state.selected.delete(name);
  const before = names();
  const old = new Map([...body.rows].map((row) => [row.dataset.name, row]));
  const visible = filtered();
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const made = visible.map((entry) => {
    const row = old.get(entry.name);
    const filled = row ? (rows.same(row, entry) ? row : rows.fill(row, state.path, entry)) : rows.make(state.path, entry);
    filled.classList.toggle("fresh", fresh.has(entry.name));
    return filled;
  });
  if (made.length !== body.rows.length || made.some((row, at) => row !== body.rows[at])) body.replaceChildren(...made);
  if (!visible.some((entry) => entry.name === state.current)) state.current = beside(state.current, before, visible);
  marks();
  if (focused) (focused.isConnected ? focused : link(state.current))?.focus({ preventScroll: true });
  const empty = state.entries.length === 0;
  table.hidden = visible.length === 0;
  document.getElementById("empty").hidden = !empty;
  document.getElementById("bar")?.classList.toggle("idle", empty);
  document.getElementById("empty-text").textContent = say(!edits ? "empty_to_look_at" : state.path === "/" ? "empty_root" : "empty_folder");
  const none = document.getElementById("no-match");
  none.hidden = empty || visible.length > 0;
  none.textContent = say("filter_none", { filter: filter.value.trim() });
  document.getElementById("further").hidden = !state.next;
  document.getElementById("count").textContent = state.next
    ? say("items_more", { count: state.entries.length })
    : count("items_one", "items_many", state.entries.length);
}

/** Where the focus goes when its row is gone: to the next one that stayed, or else the last before it. */
function beside(gone, before, visible) {
  const stayed = new Set(visible.map((entry) => entry.name));
  const at = before.indexOf(gone);
  const near = at < 0 ? [] : [...before.slice(at), ...before.slice(0, at).reverse()];
  return near.find((name) => stayed.has(name)) ?? visible[0]?.name ?? null;
}

/** Selection and the roving tab stop. */
function marks() {
  for (const row of body.rows) {
    const selected = state.selected.has(row.dataset.name);
    row.classList.toggle("selected", selected);
    row.querySelector(".pick input").checked = selected;
    const isCurrent = row.dataset.name === state.current;
    for (const stop of row.querySelectorAll("a, button")) stop.tabIndex = isCurrent ? 0 : -1;
  }
  const selected = chosenCount();
  table.classList.toggle("choosing", selected > 0);
  document.getElementById("bar-still").hidden = selected > 0;
  document.getElementById("bar-selected").hidden = selected === 0;
  document.getElementById("selected-count").textContent = say("selected", { count: selected });
  if (edits) document.getElementById("rename-selected").hidden = selected !== 1;
}

export const chosenCount = () => state.selected.size;

function link(name) {
  return name === null ? null : rowOf(name)?.querySelector("a");
}

/** The names that are shown, in their order. */
export const names = () => [...body.rows].map((row) => row.dataset.name);
/** Whether nothing else has the focus. */
export const mayFocus = () => document.activeElement === document.body || body.contains(document.activeElement);

export function focus(name = state.current) {
  state.current = name;
  marks();
  link(name)?.focus();
  rowOf(name)?.scrollIntoView({ block: "nearest" });
}

export function setCurrent(name) {
  if (name === state.current) return;
  state.current = name;
  marks();
}

export function toggle(name) {
  if (!state.selected.delete(name)) state.selected.add(name);
  state.anchor = name;
  state.current = name;
  marks();
}

export function selectOnly(name) {
  state.selected.clear();
  toggle(name);
}

/** From where the selection began to here. */
export function selectTo(name) {
  const all = names();
  const from = Math.max(0, all.indexOf(state.anchor ?? state.current));
  const to = all.indexOf(name);
  state.selected = new Set(all.slice(Math.min(from, to), Math.max(from, to) + 1));
  state.anchor = all[from];
  state.current = name;
  marks();
}

export function selectAll() {
  state.selected = new Set(names());
  marks();
}

export function clearSelection() {
  const any = state.selected.size > 0;
  state.selected.clear();
  state.anchor = null;
  marks();
  return any;
}

const look = document.getElementById("look");
export const isGrid = () => table.classList.contains("grid");

/** As pictures, or as a list; the server is told by the cookie. */
export function toggleLook() {
  const grid = table.classList.toggle("grid");
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `atoll-look=${grid ? "grid" : "list"}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  look.title = `${say(grid ? "as_list" : "as_grid")} (G)`;
  look.setAttribute("aria-label", say(grid ? "as_list" : "as_grid"));
  look.querySelector("use").setAttribute("href", grid ? "#i-list" : "#i-grid");
  look.href = `${folderUrl(state.path)}?look=${grid ? "list" : "grid"}`;
}

/** Entries side by side. */
export function columns() {
  if (!isGrid()) return 1;
  const [first] = body.rows;
  return Math.max(1, [...body.rows].findIndex((row) => row.offsetTop > first.offsetTop));
}

/** Moves the focus by that many rows. */
export function step(by, extend) {
  const all = names();
  if (all.length === 0) return;
  const inside = body.contains(document.activeElement);
  const at = all.indexOf(state.current);
  const to = inside ? Math.min(all.length - 1, Math.max(0, at + by)) : Math.max(0, at);
  if (extend) {
    state.anchor ??= state.current;
    selectTo(all[to]);
  }
  focus(all[to]);
}

/** A column that is chosen again turns round. The pages of a long folder are read anew. */
export async function sortBy(by) {
  const sort = { by, down: state.sort.by === by ? !state.sort.down : by !== "name" };
  try {
    if (state.next && !(await load(state.path, { sort, anew: true }))) return;
  } catch (problem) {
    return complain(problem, () => sortBy(by));
  }
  state.sort = sort;
  history.replaceState({ folder: state.path }, "", address(state.path));
  heads();
  render();
}

/** A folder's address, with the order that is chosen. */
function address(folder, sort = state.sort) {
  return folderUrl(folder) + chosenOrder(sort);
}

/** A file's page, from which the files beside it are found in the order that is chosen. */
export const viewAddress = (name) => viewUrl(join(state.path, name)) + chosenOrder(state.sort);

function chosenOrder({ by, down }) {
  const query = new URLSearchParams();
  if (by !== "name" || down) query.set("order", by);
  if (down) query.set("reverse", "true");
  return query.size > 0 ? `?${query}` : "";
}

function heads() {
  for (const head of table.querySelectorAll("[data-sort]")) {
    const by = head.dataset.sort;
    const active = by === state.sort.by;
    head.querySelector("a").href = address(state.path, { by, down: active ? !state.sort.down : by !== "name" });
    if (active) head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

async function fetchPage(folder, cursor, sort) {
  const query = new URLSearchParams({ path: folder, limit: PAGE, order: sort.by, reverse: sort.down });
  if (cursor) query.set("cursor", cursor);
  return call("GET", `${api}/list?${query}`);
}

/** Reads the folder again, as far as it is shown. Latest wins. */
async function load(folder, { sort = state.sort, anew = false } = {}) {
  state.load += 1;
  const mine = state.load;
  const wanted = folder === state.path && !anew ? state.entries.length : 0;
  const entries = [];
  let next = null;
  do {
    const page = await fetchPage(folder, next, sort);
    entries.push(...page.entries);
    next = page.next;
  } while (next && entries.length < wanted);
  if (mine !== state.load) return false;
  const known = new Set(state.entries.map((entry) => entry.name));
  const moved = folder !== state.path;
  const fresh = moved || anew ? new Set() : new Set(entries.map((entry) => entry.name).filter((name) => !known.has(name)));
  if (moved) Object.assign(state, { path: folder, selected: new Set(), current: null, anchor: null });
  if (moved) filter.value = "";
  Object.assign(state, { entries, next, sort });
  main.dataset.path = folder;
  heads();
  render({ fresh });
  return true;
}

let refreshing = null;

/** Reads the folder again; requests that come meanwhile become one more. */
export function refresh() {
  if (refreshing) {
    refreshing.again = true;
    return refreshing.done;
  }
  const run = { again: false };
  refreshing = run;
  run.done = (async () => {
    try {
      do {
        run.again = false;
        await load(state.path);
      } while (run.again);
    } catch (problem) {
      if (problem.kind === "not_found" || problem.kind === "not_a_folder") return open(parent(state.path));
      complain(problem, refresh);
    } finally {
      refreshing = null;
    }
  })();
  return run.done;
}

/** Goes to a folder. Uploads go on meanwhile, which is why this is no new page. */
export async function open(folder, { push = true, come = null, sort = state.sort } = {}) {
  main.setAttribute("aria-busy", "true");
  try {
    if (!(await load(folder, { sort }))) return;
    if (push) history.pushState({ folder }, "", address(folder));
    crumbs();
    window.scrollTo(0, 0);
    if (come) state.current = find(come) ? come : state.current;
    marks();
    focus();
  } catch (problem) {
    complain(problem, () => open(folder, { push, come, sort }));
    if (problem.kind === "not_found") refresh();
  } finally {
    main.removeAttribute("aria-busy");
  }
}

export function up() {
  if (state.path !== "/") open(parent(state.path), { come: here() });
}

export async function more() {
  const { path: folder, next } = state;
  try {
    const page = await fetchPage(folder, next, state.sort);
    if (folder !== state.path || next !== state.next) return;
    state.entries.push(...page.entries);
    state.next = page.next;
    heads();
    render();
  } catch (problem) {
    complain(problem, more);
  }
}

function crumbs() {
  const names = state.path === "/" ? [] : state.path.slice(1).split("/");
  const list = document.querySelector("#crumbs ol");
  let folder = "/";
  const items = [driveName, ...names].map((name, at) => {
    if (at > 0) folder = join(folder, name);
    const item = document.createElement("li");
    const last = at === names.length;
    const label = document.createElement(last ? "h1" : "a");
    label.textContent = shown(name);
    if (last) {
      label.setAttribute("aria-current", "page");
      item.append(label);
    } else {
      label.href = folderUrl(folder);
      const arrow = document.querySelector("#menu .icon").cloneNode(true);
      arrow.querySelector("use").setAttribute("href", "#i-chevron");
      item.append(label, arrow);
    }
    return item;
  });
  list.replaceChildren(...items);
  document.title = `${here()} · ${say("product")}`;
}

/** The order that a page address names. */
export function sortOf(url) {
  return { by: url.searchParams.get("order") ?? "name", down: url.searchParams.get("reverse") === "true" };
}

/** The folder that a page address of ours names. */
export function folderOf(url) {
  if (url.origin !== location.origin) return null;
  if (!url.pathname.startsWith(`${base}/`)) return null;
  const path = url.pathname.slice(base.length);
  if (path === "/" || path === "/drive" || path === "/drive/") return "/";
  if (!path.startsWith("/drive/")) return null;
  return path.slice("/drive".length).replace(/\/$/, "").split("/").map(decodeURIComponent).join("/");
}

// Dates by the reader's own clock.
for (const row of body.rows) rows.fill(row, state.path, rows.entryOf(row));
heads();
history.replaceState({ folder: state.path }, "");
