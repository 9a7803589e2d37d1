// What is selected, and which entry has the focus: kept by names, as most rows of a long folder are not drawn.
import * as drawn from "./drawn.js";
import * as entries from "./entries.js";
import { edits, say } from "./format.js";

const table = document.getElementById("listing");
const state = {
  selected: new Set(),
  current: null,
  /** Where that was among those that are shown. */
  at: 0,
  anchor: null,
  /** By class: the names of those that have it. */
  flags: new Map(),
};

export const currentName = () => state.current;
export const current = () => entries.find(state.current);
export const chosenCount = () => state.selected.size;
/** The names that are selected. */
export const selection = () => new Set(state.selected);

/** What a verb applies to: the selection, or else the row with the focus. */
export function chosen() {
  if (state.selected.size === 0) return [current()].filter(Boolean);
  const all = [...state.selected].map(entries.find).filter(Boolean);
  return all.sort((left, right) => left.at - right.at);
}

/** In a folder that was just opened. */
export function none() {
  Object.assign(state, { selected: new Set(), current: null, at: 0, anchor: null });
}

/** After entries have come or gone; `before`: those that were shown. */
export function settle(before) {
  for (const name of state.selected) if (!entries.find(name)) state.selected.delete(name);
  if (entries.position(state.current) < 0) state.current = beside(before);
}

/** Where the focus goes when its row is gone: to the next one that stayed, or else the last before it. */
function beside(before) {
  const stayed = ({ name }) => entries.position(name) >= 0;
  const at = state.current === null ? before.length : state.at;
  for (let next = at; next < before.length; next += 1) if (stayed(before[next])) return before[next].name;
  for (let next = Math.min(at, before.length) - 1; next >= 0 && state.current !== null; next -= 1) if (stayed(before[next])) return before[next].name;
  return entries.all()[0]?.name ?? null;
}

/** Selection and the roving tab stop, of what is drawn. */
export function marks() {
  state.at = Math.max(0, entries.position(state.current));
  for (const [name, row] of drawn.each()) {
    const selected = state.selected.has(name);
    row.classList.toggle("selected", selected);
    for (const [flag, names] of state.flags) row.classList.toggle(flag, names.has(name));
    row.querySelector(".pick input").checked = selected;
    const tab = name === state.current ? 0 : -1;
    for (const stop of row.querySelectorAll("a, button")) stop.tabIndex = tab;
  }
  const selected = state.selected.size;
  table.classList.toggle("choosing", selected > 0);
  document.getElementById("bar-still").hidden = selected > 0;
  document.getElementById("bar-selected").hidden = selected === 0;
  document.getElementById("selected-count").textContent = say(selectedWords(selected), { count: selected });
  if (edits) document.getElementById("rename-selected").hidden = selected !== 1;
}

/** Of a long folder, no more is chosen than was fetched. */
function selectedWords(count) {
  const folder = entries.folder();
  return folder.next !== null && count === folder.size ? "selected_so_far" : "selected";
}

/** Gives entries a class, or takes it away, also of those that are not drawn now. */
export function flag(kind, names, on = true) {
  const all = state.flags.get(kind) ?? new Set();
  state.flags.set(kind, all);
  for (const name of names) {
    if (on) all.add(name);
    else all.delete(name);
  }
  marks();
}

/** What is selected from now on begins here, if it has not begun elsewhere. */
export function anchor() {
  state.anchor ??= state.current;
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
  const from = Math.max(0, entries.position(state.anchor ?? state.current));
  const to = entries.position(name);
  const range = entries.all().slice(Math.min(from, to), Math.max(from, to) + 1);
  state.selected = new Set(range.map((entry) => entry.name));
  state.anchor = entries.all()[from].name;
  state.current = name;
  marks();
}

export function select(names) {
  state.selected = new Set(names);
  state.anchor = null;
  if (names.size > 0 && !names.has(state.current)) state.current = [...names].at(-1);
  marks();
}

export function selectAll() {
  state.selected = new Set(entries.all().map((entry) => entry.name));
  marks();
}

export function clearSelection() {
  const any = state.selected.size > 0;
  state.selected.clear();
  state.anchor = null;
  marks();
  return any;
}
