// A band that the mouse draws over empty room selects what it touches; with Ctrl or Shift, beside what is selected.
import { anyOpen } from "./dialog.js";
import * as listing from "./listing.js";

const ROOM = "html, body, main, .sheet, .listing, tbody, .row, .row td, .spacer, .spacer td, .further, .count, .bar, .bar-still";
/** Pixels that a hand moves without meaning it. */
const STEADY = 5;
/** Pixels from the window's edges within which the page scrolls, and how many at most in a frame. */
const EDGE = 48;
const FASTEST = 24;

/** Is there a word under the mouse? That is selected as everywhere. */
function onWords({ target, clientX, clientY }) {
  if (!target.matches("td, p")) return false;
  const range = document.createRange();
  range.selectNodeContents(target);
  return [...range.getClientRects()].some(({ left, right, top, bottom }) => clientX >= left && clientX <= right && clientY >= top && clientY <= bottom);
}

const onScrollbar = ({ clientX, clientY }) => clientX >= document.documentElement.clientWidth || clientY >= document.documentElement.clientHeight;
const inPage = ({ clientX, clientY }) => ({ x: clientX + scrollX, y: clientY + scrollY });

/** The names in a part of the page; whether their rows are drawn or not. */
function namesIn({ lines, columns, side }) {
  const names = [];
  const all = listing.all();
  for (let line = lines[0]; line <= lines[1]; line += 1) {
    for (const entry of all.slice(line * side + columns[0], Math.min(line * side + columns[1] + 1, all.length))) names.push(entry.name);
  }
  return names;
}

function draw(press) {
  const from = inPage(press);
  const before = listing.selection();
  const kept = press.ctrlKey || press.metaKey || press.shiftKey ? before : new Set();
  const ending = new AbortController();
  const on = (target, event, handler, more = {}) => target.addEventListener(event, handler, { signal: ending.signal, ...more });
  const band = document.createElement("div");
  band.className = "band";
  let begun = false;
  let pointer = press;
  let last = "";

  function begin() {
    begun = true;
    document.body.append(band);
    document.documentElement.setPointerCapture(press.pointerId);
    frame();
  }

  function frame() {
    if (ending.signal.aborted) return;
    const over = pointer.clientY - (innerHeight - EDGE);
    const under = EDGE - pointer.clientY;
    const by = over > 0 ? over : under > 0 ? -under : 0;
    if (by !== 0) scrollBy({ top: Math.max(-FASTEST, Math.min(FASTEST, by / 2)), behavior: "instant" });
    const to = inPage(pointer);
    const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
    const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
    const { scrollWidth, scrollHeight } = document.documentElement;
    // Never beyond the page, which would grow.
    Object.assign(band.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, top)}px` });
    Object.assign(band.style, { width: `${Math.min(right, scrollWidth) - Math.max(0, left)}px`, height: `${Math.min(bottom, scrollHeight) - Math.max(0, top)}px` });
    const within = listing.within({ left, right, top, bottom });
    // What comes or goes meanwhile changes what is there.
    const now = JSON.stringify([within, listing.all().length]);
    if (within && now !== last) listing.select(new Set([...kept, ...namesIn(within)]));
    last = now;
    requestAnimationFrame(frame);
  }

  function end() {
    ending.abort();
    band.remove();
  }

  on(window, "pointermove", (event) => {
    pointer = event;
    if (!begun && Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY) > STEADY) begin();
  });
  on(window, "selectstart", (event) => event.preventDefault());
  on(window, "pointerup", () => {
    // A click beside everything selects nothing.
    if (!begun && !press.target.closest(".row") && kept !== before) listing.clearSelection();
    if (begun) {
      // It was no click on what happens to be there.
      const no = (event) => event.stopImmediatePropagation();
      addEventListener("click", no, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", no, { capture: true }));
    }
    end();
  });
  on(window, "pointercancel", end);
  on(window, "blur", end);
  on(window, "keydown", (event) => {
    if (event.key !== "Escape" || !begun) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    listing.select(before);
    end();
  }, { capture: true });
}

// Fingers scroll, and tick.
document.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse" || event.button !== 0 || event.altKey || anyOpen()) return;
  if (listing.all().length === 0 || !event.target.matches(ROOM) || onScrollbar(event) || onWords(event)) return;
  draw(event);
});
