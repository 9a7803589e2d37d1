// Files dragged from the desktop onto the window, folders included.
const zone = document.getElementById("drop");

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

/** What is in it, and what of it cannot be read. */
async function* files(entry, folder = "") {
  const unreadable = { file: null, folder, unreadable: entry.name };
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null)));
    yield file ? { file, folder } : unreadable;
  } else if (entry.isDirectory) {
    const inside = folder ? `${folder}/${entry.name}` : entry.name;
    yield { file: null, folder: inside };
    const all = await children(entry).catch(() => null);
    if (!all) yield unreadable;
    for (const child of all ?? []) yield* files(child, inside);
  }
}

async function gather({ dataTransfer }, take) {
  // Must be asked before the event is over.
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...dataTransfer.files];
  if (entries.length === 0) return take(plain.map((file) => ({ file, folder: "" })));
  for (const entry of entries) {
    const batch = [];
    for await (const found of files(entry)) {
      batch.push(found);
      if (batch.length >= 200) take(batch.splice(0));
    }
    take(batch);
  }
}

/**
 * Takes files that are dropped anywhere on the page, if `may(event)`: `target()` names where they go, and `take()`, asked
 * at that moment, is what is then given them, some at a time.
 */
export function takeDrops({ may, target, take }) {
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") && may(event);
  const show = (on) => {
    zone.hidden = !on;
    if (on) document.getElementById("drop-target").textContent = target();
    else depth = 0;
  };
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
    if (!carriesFiles(event)) return;
    event.preventDefault();
    show(false);
    gather(event, take());
  });
}

/** Those of a folder that was chosen, each with the folders that it is in. */
export function ofDirectory(input) {
  const folderOf = (file) => file.webkitRelativePath.split("/").slice(0, -1).join("/");
  const found = [...input.files].map((file) => ({ file, folder: folderOf(file) }));
  input.value = "";
  return found;
}
