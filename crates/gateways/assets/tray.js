// The docked tray: how each upload is, and all of them together.
import { count, duration, percent, say, shown, size, speed } from "./format.js";

const tray = document.getElementById("tray");
const list = document.getElementById("tray-list");
const template = document.getElementById("upload-item");
const fold = document.getElementById("tray-fold");
const close = document.getElementById("tray-close");
const OPEN = new Set(["waiting", "sending", "saving"]);
const ROWS_MAX = 1000;
// The speed is that of the last seconds.
const WINDOW = 4000;

const items = new Map();
const samples = [];
let drawing = false;

export function show(item, { act }) {
  const row = template.content.cloneNode(true).firstElementChild;
  row.querySelector("[data-part=name]").textContent = shown(item.name);
  row.addEventListener("click", (event) => {
    const what = event.target.closest("[data-act]")?.dataset.act;
    if (what) act(what);
  });
  items.set(item, row);
  // A long list of what is done helps nobody.
  if (list.children.length >= ROWS_MAX) list.querySelector("[data-state=saved]")?.remove();
  list.append(row);
  tray.hidden = false;
  update(item);
}

export function drop(item) {
  items.get(item)?.remove();
  items.delete(item);
  draw();
}

/** The item has changed; all changes of a moment are drawn together. */
export function update(item) {
  item.dirty = true;
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
  // Hidden tabs draw no frames.
  if (document.hidden) setTimeout(draw, 200);
}

function words(item) {
  switch (item.state) {
    case "waiting":
      return item.why || say("upload_waiting");
    case "sending": {
      const rate = item.sent / Math.max(0.001, (performance.now() - item.began) / 1000);
      if (item.sent === 0) return say("upload_sending_first");
      return say("upload_sending", { percent: percent(item.sent / item.file.size), speed: speed(rate) });
    }
    case "saving":
      return say("upload_saving");
    case "saved":
      return item.copies > 1 ? say("upload_saved_on", { count: item.copies }) : say("upload_saved");
    case "failed":
      return say("upload_failed", { why: item.why });
    case "exists":
      return say("upload_exists");
    case "skipped":
      return say("upload_skipped");
    default:
      return say("upload_cancelled");
  }
}

function drawItem(item, row) {
  item.dirty = false;
  // What needs someone comes first.
  if (item.state !== row.dataset.state && (item.state === "exists" || item.state === "failed")) list.prepend(row);
  const held = row.contains(document.activeElement);
  row.dataset.state = item.state;
  row.querySelector("[data-part=name]").textContent = shown(item.name);
  row.querySelector("[data-part=state]").textContent = words(item);
  row.querySelector("[data-part=progress]").value = item.file.size ? item.sent / item.file.size : 1;
  if (held) keepFocus();
}

/** The button that was pressed may be gone: on to the next that waits for an answer. */
function keepFocus() {
  if (document.activeElement.checkVisibility() && list.contains(document.activeElement)) return;
  const next = [...list.querySelectorAll("[data-state=exists] [data-act], [data-state=failed] [data-act]")].find((one) => one.checkVisibility());
  (next ?? fold).focus();
}

function draw() {
  drawing = false;
  const tally = { open: 0, saved: 0, failed: 0, exists: 0, sent: 0, total: 0 };
  for (const [item, row] of items) {
    if (item.dirty) drawItem(item, row);
    if (OPEN.has(item.state)) tally.open += 1;
    else if (item.state in tally) tally[item.state] += 1;
    if (OPEN.has(item.state) || item.state === "saved") {
      tally.sent += item.sent;
      tally.total += item.file.size;
    }
  }
  head(tally);
}

function head({ open, saved, failed, exists, sent, total }) {
  const parts = [];
  if (open > 0) parts.push(count("uploads_active_one", "uploads_active_many", open));
  else if (saved > 0) parts.push(count("uploads_done_one", "uploads_done_many", saved));
  if (exists > 0) parts.push(say("uploads_attention", { count: exists }));
  if (failed > 0) parts.push(say("uploads_failed", { count: failed }));
  const title = document.getElementById("tray-title");
  const words = parts.join(" · ") || say("uploads");
  // A live region speaks at each change: only at real ones.
  if (title.textContent !== words) title.textContent = words;
  tray.classList.toggle("settled", open === 0);
  document.getElementById("tray-progress").value = total > 0 ? sent / total : 0;
  document.getElementById("tray-total").textContent = open > 0 ? totals(sent, total) : total > 0 ? size(total) : "";
  close.hidden = open > 0 || exists > 0;
  if (items.size === 0) tray.hidden = true;
}

function totals(sent, total) {
  const now = performance.now();
  samples.push([now, sent]);
  while (samples.length > 2 && now - samples[0][0] > WINDOW) samples.shift();
  const [then, before] = samples[0];
  const rate = Math.max(0, ((sent - before) / Math.max(250, now - then)) * 1000);
  if (rate < 1) return say("uploads_total", { done: size(sent), total: size(total) });
  const done = say("uploads_total_speed", { done: size(sent), total: size(total), speed: speed(rate) });
  return total > sent ? `${done} · ${say("uploads_left", { time: duration((total - sent) / rate) })}` : done;
}

fold.addEventListener("click", () => {
  const folded = tray.classList.toggle("folded");
  fold.setAttribute("aria-expanded", String(!folded));
  fold.setAttribute("aria-label", say(folded ? "uploads_expand" : "uploads_collapse"));
});

close.addEventListener("click", () => {
  items.clear();
  samples.length = 0;
  list.replaceChildren();
  tray.hidden = true;
});
