// Files dragged from the desktop onto the window, folders included.
import { edits, say } from "./format.js";
import * as listing from "./listing.js";
import { add } from "./uploads.js";

const zone = document.getElementById("drop");
let depth = 0;

const carriesFiles = (event) => edits && event.dataTransfer?.types.includes("Files");

function show(on) {
  zone.hidden = !on;
  if (on) document.getElementById("drop-target").textContent = say("drop_target", { name: listing.here() });
  else depth = 0;
}

/** All of a directory's entries: the browser gives them in portions. */
async function children(directory) {
  const reader = directory.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function* files(entry, folder = "") {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    yield { file, folder };
  } else if (entry.isDirectory) {
    const inside = folder ? `${folder}/${entry.name}` : entry.name;
    yield { file: null, folder: inside };
    for (const child of await children(entry)) yield* files(child, inside);
  }
}

async function drop(event) {
  event.preventDefault();
  show(false);
  const into = listing.path();
  // Must be asked before the event is over.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files];
  if (entries.length === 0) return add(into, plain.map((file) => ({ file, folder: "" })));
  for (const entry of entries) {
    let batch = [];
    try {
      for await (const found of files(entry)) {
        batch.push(found);
        if (batch.length >= 200) add(into, batch.splice(0));
      }
    } catch {
      // What could be read is uploaded; the rest shows in the listing by its absence.
    }
    add(into, batch);
  }
}

document.addEventListener("dragenter", (event) => {
  if (!carriesFiles(event) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  depth += 1;
  show(true);
});
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
document.addEventListener("dragleave", (event) => {
  if (!carriesFiles(event)) return;
  depth -= 1;
  if (depth <= 0) show(false);
});
document.addEventListener("drop", (event) => {
  if (carriesFiles(event)) drop(event);
});
