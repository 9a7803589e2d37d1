// The keyboard. Single keys are off while typing, and the browser's own keys are never taken.
import * as details from "./details.js";
import { anyOpen } from "./dialog.js";
import { edits } from "./format.js";
import { typing } from "./frame.js";
import * as listing from "./listing.js";
import { undoLast } from "./report.js";
import * as verbs from "./verbs.js";

const filter = document.getElementById("filter");

// For who may change what is here.
const changes = ["F2", "Delete", "n", "u"];
const changesWithCtrl = ["x", "c", "v", "z"];

const plain = {
  "/": () => filter.focus(),
  F2: () => listing.chosen().length === 1 && verbs.rename(listing.chosen()[0]),
  Delete: () => verbs.remove(listing.chosen()),
  ArrowDown: () => listing.step(listing.columns()),
  ArrowUp: () => listing.step(-listing.columns()),
  ArrowLeft: () => listing.isGrid() && listing.step(-1),
  ArrowRight: () => listing.isGrid() && listing.step(1),
  PageDown: () => listing.step(listing.screenful()),
  PageUp: () => listing.step(-listing.screenful()),
  Home: () => listing.step(-Infinity),
  End: () => listing.toEnd(),
  " ": () => listing.current() && listing.toggle(listing.current().name),
  i: () => listing.chosen().length === 1 && details.show(listing.chosen()[0]),
  s: () => listing.current() && verbs.star(listing.chosen()),
  l: () => edits && listing.chosen().length === 1 && details.share(listing.chosen()[0]),
  d: () => listing.current() && verbs.download(listing.chosen()),
  g: listing.toggleLook,
  n: verbs.newFolder,
  u: () => document.getElementById("upload").click(),
  Escape: () => listing.clearSelection() || escapeFilter(),
};

const extending = {
  ArrowDown: () => listing.step(listing.columns(), true),
  ArrowUp: () => listing.step(-listing.columns(), true),
  ArrowLeft: () => listing.isGrid() && listing.step(-1, true),
  ArrowRight: () => listing.isGrid() && listing.step(1, true),
  PageDown: () => listing.step(listing.screenful(), true),
  PageUp: () => listing.step(-listing.screenful(), true),
  Home: () => listing.step(-Infinity, true),
  End: () => listing.toEnd(true),
};

const withCtrl = {
  a: listing.selectAll,
  c: () => verbs.take("copy", listing.chosen()),
  x: () => verbs.take("move", listing.chosen()),
  v: verbs.paste,
  z: undoLast,
};

function escapeFilter() {
  if (!filter.value) return;
  filter.value = "";
  listing.render();
}

// Keys by which a button or link is pressed stay with it.
const presses = (event) => event.key === " " && event.target.closest("button, input, label, summary");

document.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  if (event.defaultPrevented || event.isComposing || anyOpen() || document.querySelector(":popover-open")) return;
  if (event.target === filter && key === "Escape") {
    escapeFilter();
    listing.focus();
    return;
  }
  if (event.target === filter && key === "ArrowDown") {
    event.preventDefault();
    return listing.step(0);
  }
  if (typing(event.target)) return;
  if (altKey && !ctrlKey && !metaKey) {
    if (key !== "ArrowUp") return;
    event.preventDefault();
    return listing.up();
  }
  if (ctrlKey || metaKey) {
    const act = shiftKey || !Object.hasOwn(withCtrl, key) || (!edits && changesWithCtrl.includes(key)) ? null : withCtrl[key];
    // Marked text is copied as everywhere.
    if (!act || !getSelection().isCollapsed) return;
    if (key !== "v" && key !== "z" && !listing.current()) return;
    event.preventDefault();
    return act();
  }
  if (shiftKey && listing.current() && Object.hasOwn(extending, key)) {
    event.preventDefault();
    return extending[key]();
  }
  if (!Object.hasOwn(plain, key) || presses(event) || (!edits && changes.includes(key))) return;
  // Without a listing these scroll, as everywhere.
  if (/^(Arrow|Page|Home|End| )/.test(key) && !listing.current()) return;
  event.preventDefault();
  plain[key]();
});

filter.addEventListener("input", () => listing.render());
