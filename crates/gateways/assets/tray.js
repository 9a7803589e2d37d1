// The docked tray: how each upload is, and all of them together.
import { count, duration, percent, say, shown, size, speed } from "./format.js";

const tray = document.getElementById("tray");
const list = document.getElementById("tray-list");
const template = document.getElementById("upload-item");
const fold = document.getElementById("tray-fold");
const close = document.getElementById("tray-close");
const pauseAll = document.getElementById("tray-pause");
const OPEN = new Set(["waiting", "sending", "saving"]);
/** What waits for somebody. */
const NEEDY = new Set(["exists", "failed", "interrupted"]);
const ROWS_MAX = 1000;
// The speed is that of the last seconds.
const WINDOW = 4000;

const items = new Map();
/** Those that wait for somebody, in the order in which they were shown. */
const needy = [];
let shownSoFar = 0;
const samples = [];
let drawing = false;

/** `act(what)` is told of a button's press, `chosen(file)` of a file that was chosen again. */
export function show(item, { act, chosen }) {
  if (items.has(item)) return;
  const row = template.content.cloneNode(true).firstElementChild;
  row.querySelector("[data-part=name]").textContent = shown(item.name);
  row.addEventListener("click", (event) => {
    const what = event.target.closest("[data-act]")?.dataset.act;
    if (what === "choose") row.querySelector("[data-part=file]").click();
    else if (what) act(what);
  });
  row.querySelector("[data-part=file]").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) chosen(file);
  });
  items.set(item, row);
  item.number = shownSoFar++;
  // A long list of what is done helps nobody.
  if (list.children.length >= ROWS_MAX) list.querySelector("[data-state=saved]")?.remove();
  list.append(row);
  tray.hidden = false;
  update(item);
}

export function drop(item) {
  unneeded(item);
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

const part = (item) => (item.size ? item.sent / item.size : 1);

/** Honest about those that have it yet. */
function savedOn(count, wanted) {
  if (count < wanted) return say("upload_saved_on_of", { count, wanted });
  return count > 1 ? say("upload_saved_on", { count }) : say("upload_saved");
}

function words(item) {
  switch (item.state) {
    case "waiting":
      return item.why || say("upload_waiting");
    case "sending": {
      const rate = Math.max(0, item.sent - item.base) / Math.max(0.001, (performance.now() - item.began) / 1000);
      if (item.sent === 0) return say("upload_sending_first");
      return say("upload_sending", { percent: percent(part(item)), speed: speed(rate) });
    }
    case "paused":
      return item.sent > 0 ? say("upload_paused_at", { percent: percent(part(item)) }) : say("upload_paused");
    case "interrupted":
      return say("upload_interrupted", { percent: percent(part(item)) });
    case "saving":
      return say("upload_saving");
    case "saved":
      return savedOn(item.copies, item.wanted);
    case "failed":
      return say("upload_failed", { why: item.why });
    case "exists":
      return item.why || say("upload_exists");
    case "skipped":
      return say("upload_skipped");
    default:
      return say("upload_cancelled");
  }
}

function drawItem(item, row) {
  item.dirty = false;
  const held = row.contains(document.activeElement);
  if (item.state !== row.dataset.state) {
    unneeded(item);
    if (NEEDY.has(item.state)) needed(item, row);
  }
  row.dataset.state = item.state;
  row.querySelector("[data-part=name]").textContent = shown(item.name);
  row.querySelector("[data-part=state]").textContent = words(item);
  row.querySelector("[data-part=progress]").value = part(item);
  label(row.querySelector("[data-act=pause]"), say(item.state === "paused" ? "upload_resume" : "upload_pause"));
  // One that gets its name may be there already.
  row.querySelector("[data-act=cancel]").disabled = item.state === "saving";
  // What could not be read is chosen anew.
  if (item.state === "failed" && !item.file && !item.makes) row.querySelector("[data-act=retry]")?.remove();
  if (held) keepFocus(row);
}

/** What needs someone comes first. */
function needed(item, row) {
  let at = needy.length;
  while (at > 0 && needy[at - 1].number > item.number) at -= 1;
  if (at > 0) items.get(needy[at - 1]).after(row);
  else list.prepend(row);
  needy.splice(at, 0, item);
}

function unneeded(item) {
  const at = needy.indexOf(item);
  if (at >= 0) needy.splice(at, 1);
}

/** What a button does now; nothing is said again that stays. */
function label(button, words) {
  if (button.title === words) return;
  button.title = words;
  button.setAttribute("aria-label", words);
}

/** The button that was pressed may be gone: on to what pauses its upload, or to the next that waits for an answer. */
function keepFocus(row) {
  if (document.activeElement.checkVisibility() && list.contains(document.activeElement)) return;
  const pause = row.querySelector("[data-act=pause]");
  if (pause.checkVisibility()) return pause.focus();
  const needy = [...NEEDY].map((state) => `[data-state=${state}] [data-act]`).join();
  const next = [...list.querySelectorAll(needy)].find((one) => one.checkVisibility());
  (next ?? fold).focus();
}

function draw() {
  drawing = false;
  const tally = { open: 0, saving: 0, saved: 0, failed: 0, exists: 0, paused: 0, interrupted: 0, sent: 0, moved: 0, total: 0 };
  for (const [item, row] of items) {
    if (item.dirty) drawItem(item, row);
    if (OPEN.has(item.state)) tally.open += 1;
    if (item.state in tally) tally[item.state] += 1;
    if (OPEN.has(item.state) || item.state === "saved" || item.state === "paused") {
      tally.sent += item.sent;
      tally.moved += item.sent - item.base;
      tally.total += item.size;
    }
  }
  head(tally);
}

function head({ open, saving, saved, failed, exists, paused, interrupted, sent, moved, total }) {
  const parts = [];
  if (open > 0) parts.push(count("uploads_active_one", "uploads_active_many", open));
  else if (saved > 0) parts.push(count("uploads_done_one", "uploads_done_many", saved));
  if (paused > 0) parts.push(say("uploads_paused", { count: paused }));
  if (interrupted > 0) parts.push(say("uploads_interrupted", { count: interrupted }));
  if (exists > 0) parts.push(say("uploads_attention", { count: exists }));
  if (failed > 0) parts.push(say("uploads_failed", { count: failed }));
  const title = document.getElementById("tray-title");
  const words = parts.join(" · ") || say("uploads");
  // A live region speaks at each change: only at real ones.
  if (title.textContent !== words) title.textContent = words;
  tray.classList.toggle("settled", open + paused === 0);
  document.getElementById("tray-progress").value = total > 0 ? sent / total : 0;
  document.getElementById("tray-total").textContent = open > 0 ? totals(sent, moved, total) : total > 0 ? still(paused, sent, total) : "";
  close.hidden = open + paused + exists > 0;
  headPause(open - saving > 0, paused > 0);
  if (items.size === 0) tray.hidden = true;
}

const still = (paused, sent, total) => (paused > 0 ? say("uploads_total", { done: size(sent), total: size(total) }) : size(total));

/** One button for all: pauses what goes on, or else lets what is paused go on. */
function headPause(going, paused) {
  const held = document.activeElement === pauseAll;
  pauseAll.hidden = !going && !paused;
  pauseAll.dataset.does = going ? "pause" : "resume";
  label(pauseAll, say(going ? "uploads_pause" : "uploads_resume"));
  if (held && pauseAll.hidden) fold.focus();
}

function totals(sent, moved, total) {
  const now = performance.now();
  // What was there before is no speed.
  samples.push([now, moved]);
  while (samples.length > 2 && now - samples[0][0] > WINDOW) samples.shift();
  const [then, before] = samples[0];
  const rate = Math.max(0, ((moved - before) / Math.max(250, now - then)) * 1000);
  if (rate < 1) return say("uploads_total", { done: size(sent), total: size(total) });
  const done = say("uploads_total_speed", { done: size(sent), total: size(total), speed: speed(rate) });
  return total > sent ? `${done} · ${say("uploads_left", { time: duration((total - sent) / rate) })}` : done;
}

/** Tells `act(true)` to pause everything, `act(false)` to go on with what is paused. */
export function onPauseAll(act) {
  pauseAll.addEventListener("click", () => act(pauseAll.dataset.does === "pause"));
}

fold.addEventListener("click", () => {
  const folded = tray.classList.toggle("folded");
  fold.setAttribute("aria-expanded", String(!folded));
  fold.setAttribute("aria-label", say(folded ? "uploads_expand" : "uploads_collapse"));
});

close.addEventListener("click", () => {
  items.clear();
  needy.length = 0;
  samples.length = 0;
  list.replaceChildren();
  tray.hidden = true;
});
