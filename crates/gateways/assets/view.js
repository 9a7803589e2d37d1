// What of the folder is on the screen: its rows, what is said of them, and where the focus is.
import * as drawn from "./drawn.js";
import * as entries from "./entries.js";
import { count, edits, folderUrl, say } from "./format.js";
import * as selection from "./selection.js";

const body = document.getElementById("entries");
const table = document.getElementById("listing");
const link = (name) => drawn.rowOf(name)?.querySelector("a");

/** Draws what has come near the screen. */
export function redraw({ changed = true } = {}) {
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  if (!drawn.draw(entries.position(selection.currentName()), { changed })) return false;
  selection.marks();
  if (focused && document.activeElement !== focused) (focused.isConnected ? focused : link(selection.currentName()))?.focus({ preventScroll: true });
  return true;
}

/** Shows the entries anew; the `fresh` ones are pointed out. */
export function render({ fresh = [] } = {}) {
  const before = entries.all();
  entries.arrange();
  selection.settle(before);
  paint();
  const came = new Set(fresh);
  for (const [name, row] of drawn.each()) row.classList.toggle("fresh", came.has(name));
}

/** Shows the entries where they are. */
export function paint() {
  const { next, size } = entries.folder();
  const visible = entries.all().length;
  table.hidden = visible === 0;
  redraw();
  document.getElementById("empty").hidden = size > 0;
  document.getElementById("bar")?.classList.toggle("idle", size === 0);
  document.getElementById("empty-text").textContent = say(!edits ? "empty_to_look_at" : entries.path() === "/" ? "empty_root" : "empty_folder");
  const none = document.getElementById("no-match");
  none.hidden = size === 0 || visible > 0;
  none.textContent = say(next === null ? "filter_none" : "filter_none_so_far", { count: size, filter: entries.wanted() });
  document.getElementById("further").hidden = next === null;
  document.getElementById("count").textContent = next === null ? count("items_one", "items_many", size) : say("items_more", { count: size });
}

/** Whether nothing else has the focus. */
export const mayFocus = () => document.activeElement === document.body || body.contains(document.activeElement);

export function focus(name = selection.currentName()) {
  if (entries.position(name) >= 0) selection.setCurrent(name);
  redraw({ changed: false });
  link(selection.currentName())?.focus({ preventScroll: true });
  drawn.rowOf(selection.currentName())?.scrollIntoView({ block: "nearest" });
  redraw({ changed: false });
}

/** Moves the focus by that many entries; to an end, wherever it was. */
export function step(by, extend) {
  const all = entries.all();
  if (all.length === 0) return;
  const inside = body.contains(document.activeElement) || !Number.isFinite(by);
  const at = Math.max(0, entries.position(selection.currentName()));
  const to = inside ? Math.min(all.length - 1, Math.max(0, at + by)) : at;
  if (extend) {
    selection.anchor();
    selection.selectTo(all[to].name);
  }
  focus(all[to].name);
}

/** What was at the top of the screen stays there when rows get another size. */
function reshape(change = () => {}) {
  const place = drawn.reshape(change);
  redraw();
  if (place < 0) return;
  drawn.scrollTo(place);
  redraw();
}

const look = document.getElementById("look");

/** As pictures, or as a list; the server is told by the cookie. */
export function toggleLook() {
  reshape(() => table.classList.toggle("grid"));
  const grid = drawn.isGrid();
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `atoll-look=${grid ? "grid" : "list"}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  look.title = `${say(grid ? "as_list" : "as_grid")} (G)`;
  look.setAttribute("aria-label", say(grid ? "as_list" : "as_grid"));
  look.querySelector("use").setAttribute("href", grid ? "#i-list" : "#i-grid");
  look.href = `${folderUrl(entries.path())}?look=${grid ? "list" : "grid"}`;
}

addEventListener("resize", () => reshape());
