// Handing in files by a link. Without scripts the form takes them.
import { call } from "./api.js";
import * as conflicts from "./conflicts.js";
import { ofDirectory, takeDrops } from "./drop.js";
import { all } from "./kept.js";
import { queue } from "./queue.js";
import { complain } from "./toast.js";
import * as tray from "./tray.js";
import { identity } from "./upload.js";

const form = document.getElementById("hand-in");
const files = document.getElementById("files");
const directory = document.getElementById("directory");
const base = new URL(form.action).pathname.replace(/^\/s\/(.*)\/upload$/, "/api/v1/links/$1");
const OWNER = "guest";
const COMPLETE_MAX = 600_000;
// What was sent from here, so that choosing a folder once more sends no file twice unasked.
const SENT = `atoll-sent-${base}`;
const BATCH = `atoll-batch-${base}`;
const SENT_MAX = 5000;

function stored(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    // Forbidden: then it holds as long as this page.
    return null;
  }
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // Forbidden, or full.
  }
}

/** What is sent from this page goes together, also with what was left before. */
const batch = stored(BATCH) ?? all().findLast((one) => one.api === base)?.batch ?? identity();
store(BATCH, batch);
const sent = new Set(JSON.parse(stored(SENT) ?? "[]"));
const named = ({ folder, file }) => JSON.stringify([folder, file.name, file.size, file.lastModified]);

function noteSent(item) {
  if (!item?.file || sent.size >= SENT_MAX) return;
  sent.add(named(item));
  store(SENT, JSON.stringify([...sent]));
}

const uploadUrl = (kept, rest = "") => `${base}/uploads/${encodeURIComponent(kept.upload)}${rest}?${new URLSearchParams({ name: kept.path })}`;

const link = {
  id: base,
  edits: true,
  // With each file: the server makes them, under other names where theirs are taken.
  folderFirst: false,
  // The server keeps them for a day.
  keptFor: 20 * 3600 * 1000,
  owner: async () => OWNER,
  changed: noteSent,
  sentBefore: (item) => !item.kept && sent.has(named(item)),
  makeFolder: (folder) => call("POST", `${base}/folder`, { body: { folder, batch } }),
  where: (item) => ({ path: item.name, batch }),
  inParts: () => true,
  fileUrl(item, { version }) {
    const query = { name: item.name, folder: item.folder, batch, version, mtime: item.file.lastModified };
    return `${base}/file?${new URLSearchParams(query)}`;
  },
  begin: (item, about) => call("POST", `${base}/uploads`, { body: { name: item.name, folder: item.folder, batch, ...about } }),
  uploaded: (kept) => call("GET", uploadUrl(kept)),
  partUrl: (kept, n) => uploadUrl(kept, `/parts/${n}`),
  abandon: (kept) => call("DELETE", uploadUrl(kept)),
  complete(kept) {
    const body = { name: kept.path, folder: kept.folder, batch: kept.batch };
    return call("POST", `${base}/uploads/${encodeURIComponent(kept.upload)}/complete`, { body, within: COMPLETE_MAX });
  },
};

const { add } = queue(link, { ...tray, ...conflicts, complain });

function take(found) {
  document.getElementById("done").hidden = true;
  add("/", found);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...files.files];
  form.reset();
  take(chosen.map((file) => ({ file, folder: "" })));
});
document.getElementById("choose-directory").addEventListener("click", () => directory.click());
directory.addEventListener("change", () => {
  take(ofDirectory(directory));
});
takeDrops({ may: () => true, target: () => document.querySelector("h1").textContent, take: () => take });
document.documentElement.dataset.ready = "true";
