// Which rows are drawn: those near the screen, and the one that has the focus. The room of all others is kept by spacers.
import * as entries from "./entries.js";
import * as rows from "./rows.js";

const table = document.getElementById("listing");
const body = document.getElementById("entries");
/** Entries that are drawn without asking where the screen is. */
const WHOLE = 150;
/** Entries that come and go together, in whole lines. */
const TOGETHER = 20;

/** By name: the row, and the entry that it shows. */
const drawn = new Map();
for (const row of body.querySelectorAll(".row")) drawn.set(row.dataset.name, { row, entry: null });
let last = null;
let shape = null;

export const isGrid = () => table.classList.contains("grid");
export const rowOf = (name) => drawn.get(name)?.row;
/** Those that are drawn, each with its name. */
export const each = () => [...drawn].map(([name, { row }]) => [name, row]);

/** All of them anew: another folder, whose entries may look the same. */
export function clear() {
  drawn.clear();
  last = null;
}

/** How far apart lines are, in pixels, how high and wide entries, and how many stand side by side. Nothing while none is drawn. */
function measured() {
  if (shape) return shape;
  const all = body.querySelectorAll(":scope > .row:not([data-apart])");
  if (all.length === 0 || table.hidden) return null;
  const style = getComputedStyle(body);
  const pixels = (value) => parseFloat(value) || 0;
  const grid = isGrid();
  const widths = grid ? style.gridTemplateColumns.split(" ").map(pixels) : [body.clientWidth];
  const columns = widths.length;
  // The first line may lack a border.
  const first = all[Math.min(columns, all.length - 1)].getBoundingClientRect();
  const lines = Math.floor((all.length - 1 - columns) / columns);
  const gap = grid ? pixels(style.rowGap) : 0;
  const line = lines > 0 ? (all[columns + lines * columns].getBoundingClientRect().top - first.top) / lines : first.height + gap;
  const aside = widths[0] + (grid ? pixels(style.columnGap) : 0);
  const found = { columns, line, gap, width: widths[0], aside, left: grid ? pixels(style.paddingLeft) : 0, top: grid ? pixels(style.paddingTop) : 0 };
  // A few may come before there is room for more.
  if (lines > 0) shape = found;
  return line > 0 ? found : null;
}

/** Entries side by side. */
export const columns = () => measured()?.columns ?? 1;

/** Entries that are on the screen at once, at least one line of them. */
export function screenful() {
  const { line, columns } = measured() ?? { line: innerHeight, columns: 1 };
  return Math.max(1, Math.floor(innerHeight / line) - 2) * columns;
}

/** The places that are near the screen: from the first to before the last. */
export function near() {
  const count = entries.all().length;
  if (count <= WHOLE) return [0, count];
  const known = measured();
  if (!known) return [0, TOGETHER];
  const { line, columns, top } = known;
  const lines = Math.ceil(count / columns);
  const above = -(body.getBoundingClientRect().top + top) / line;
  const ahead = innerHeight / line;
  const some = Math.ceil(TOGETHER / columns);
  const from = Math.floor((above - ahead) / some) * some;
  const to = Math.ceil((above + 2 * ahead) / some) * some;
  return [Math.max(0, Math.min(from, lines - some)) * columns, Math.min(count, Math.max(to, some) * columns)];
}

/** The ranges that are to be drawn: what is near, and the line with the focus. */
function ranges(focus) {
  const count = entries.all().length;
  const [from, to] = near();
  if (focus < 0 || (focus >= from && focus < to)) return [[from, to]];
  const side = columns();
  const apart = focus - (focus % side);
  const line = [apart, Math.min(count, apart + side)];
  return apart < from ? [line, [from, to]] : [[from, to], line];
}

function spacer({ line, gap }, lines) {
  const row = document.createElement("tr");
  row.className = "spacer";
  row.setAttribute("aria-hidden", "true");
  const cell = document.createElement("td");
  cell.colSpan = 5;
  row.append(cell);
  (isGrid() ? row : cell).style.height = `${lines * line - gap}px`;
  return row;
}

function filled(entry) {
  const known = drawn.get(entry.name);
  if (known?.entry === entry) return known;
  const path = entries.path();
  if (!known) return { row: rows.make(path, entry), entry };
  // Those that the server wrote say dates by its clock.
  return { row: known.entry && rows.same(known.row, entry) ? known.row : rows.fill(known.row, path, entry), entry };
}

/** Draws what is to be drawn; `focus` is the place of the entry that has the focus. Whether something has changed. */
export function draw(focus, { changed = true } = {}) {
  // The first ones show how large they are.
  if (entries.all().length > WHOLE && !measured()) arrange([[0, TOGETHER]]);
  const wanted = ranges(focus);
  const as = `${wanted} ${entries.all().length}`;
  if (!changed && as === last) return false;
  last = as;
  arrange(wanted);
  return true;
}

function arrange(wanted) {
  const list = entries.all();
  const known = measured();
  const children = [];
  const kept = new Map();
  let at = 0;
  const leave = (to) => {
    if (known && to > at) children.push(spacer(known, Math.ceil((to - at) / known.columns)));
  };
  const longest = Math.max(...wanted.map(([from, to]) => to - from));
  for (const [from, to] of wanted) {
    leave(from);
    for (const entry of list.slice(from, to)) {
      const one = filled(entry);
      // Only those that stand together can be measured.
      one.row.toggleAttribute("data-apart", to - from < longest);
      kept.set(entry.name, one);
      children.push(one.row);
    }
    at = to;
  }
  leave(list.length);
  drawn.clear();
  for (const [name, one] of kept) drawn.set(name, one);
  number(kept.size < list.length);
  put(children);
}

/** For those who do not see how long it is. */
function number(partly) {
  const { next } = entries.folder();
  if (partly || next !== null) table.setAttribute("aria-rowcount", next === null ? entries.all().length + 1 : -1);
  else table.removeAttribute("aria-rowcount");
  for (const { row, entry } of drawn.values()) {
    if (partly) row.setAttribute("aria-rowindex", entry.at + 2);
    else row.removeAttribute("aria-rowindex");
  }
}

/** What stays is left alone: it may have the focus, or be dragged. */
function put(children) {
  const stay = new Set(children);
  for (const child of [...body.children]) if (!stay.has(child)) child.remove();
  let before = body.firstElementChild;
  for (const child of children) {
    if (child === before) before = before.nextElementSibling;
    else body.insertBefore(child, before);
  }
}

/** A change gives rows another size. If so, the place that was at the top of the screen; else -1. */
export function reshape(change) {
  const was = measured();
  const above = was ? -(body.getBoundingClientRect().top + was.top) : 0;
  change();
  shape = null;
  last = null;
  const is = measured();
  const same = is?.line === was?.line && is?.columns === was?.columns;
  return above > 0 && !same ? Math.floor(above / was.line) * was.columns : -1;
}

/** Scrolls so that this place is at the top of the screen. */
export function scrollTo(place) {
  const { line, columns, top } = measured() ?? {};
  if (line) window.scrollTo({ top: scrollY + body.getBoundingClientRect().top + top + Math.floor(place / columns) * line, behavior: "instant" });
}

/** The places of a part of the page, in pixels from its beginning: lines and columns, each from the first to the last. */
export function within({ left, right, top, bottom }) {
  const known = measured();
  if (!known) return null;
  const box = body.getBoundingClientRect();
  const range = (from, to, begin, size, apart, most) => [
    Math.max(0, Math.floor((from - begin - size) / apart) + 1),
    Math.min(most, Math.ceil((to - begin) / apart)) - 1,
  ];
  const lines = Math.ceil(entries.all().length / known.columns);
  return {
    lines: range(top, bottom, box.top + scrollY + known.top, known.line - known.gap, known.line, lines),
    columns: range(left, right, box.left + scrollX + known.left, known.width, known.aside, known.columns),
    side: known.columns,
  };
}
