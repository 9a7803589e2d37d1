// What can be done with entries: open, download, new folder, rename, delete; and the menu that offers it.
import { perform } from "./acts.js";
import { call } from "./api.js";
import * as details from "./details.js";
import { anyOpen, ask } from "./dialog.js";
import { fileUrl, join, say } from "./format.js";
import * as listing from "./listing.js";
import { report } from "./report.js";
import { complain, tell } from "./toast.js";

const menu = document.getElementById("menu");
let menuFor = null;

export function open(entry) {
  if (entry.kind === "folder") listing.open(join(listing.path(), entry.name));
  else download([entry]);
}

export function download(entries) {
  for (const entry of entries.filter((one) => one.kind === "file")) {
    const link = document.createElement("a");
    link.href = fileUrl(join(listing.path(), entry.name));
    link.download = "";
    link.click();
  }
}

export async function newFolder() {
  const folder = listing.path();
  const name = await ask({
    title: say("new_folder"),
    label: say("folder_name"),
    value: "",
    button: say("create"),
    submit: async (wanted) => {
      const accept = (problem) => problem.kind === "exists";
      const made = await call("POST", "/api/v1/drive/folder", { body: { path: join(folder, wanted) }, accept });
      return made.entry?.name ?? wanted.normalize("NFC");
    },
  });
  if (!name) return;
  tell(say("folder_created", { name }));
  await listing.refresh();
  if (folder === listing.path()) listing.focus(name);
}

async function move(from, to) {
  // If an answer was lost, the move may have been made: then there is nothing at the old place any more.
  const accept = (problem) => problem.kind === "not_found";
  await call("POST", "/api/v1/drive/move", { body: { from, to }, accept });
}

export async function rename(entry) {
  const folder = listing.path();
  const from = join(folder, entry.name);
  const name = await ask({
    title: say("rename_title"),
    label: say("rename_label"),
    value: entry.name,
    button: say("rename"),
    submit: async (wanted) => {
      if (wanted !== entry.name) await move(from, join(folder, wanted));
      return wanted.normalize("NFC");
    },
  });
  if (!name || name === entry.name) return listing.focus(entry.name);
  const back = async () => {
    try {
      await move(join(folder, name), from);
      tell(say("renamed_undo"));
    } catch (problem) {
      complain(problem, back);
    }
    listing.refresh();
  };
  tell(say("renamed", { name }), back);
  await listing.refresh();
  if (folder === listing.path()) {
    listing.clearSelection();
    listing.focus(name);
  }
}

async function look() {
  await listing.refresh();
  if (!anyOpen()) listing.focus();
}

/** To the trash, from where it comes back. */
export async function remove(entries) {
  if (entries.length === 0) return;
  const folder = listing.path();
  for (const { name } of entries) listing.rowOf(name)?.classList.add("leaving");
  await trash(entries.map(({ name }) => ({ act: "trash", path: join(folder, name), recursive: true })));
  if (folder === listing.path()) listing.clearSelection();
  for (const { name } of entries) listing.rowOf(name)?.classList.remove("leaving");
  listing.focus();
}

async function trash(acts) {
  // What an earlier try whose answer was lost has deleted is not there.
  const all = await perform(acts, { again: (error) => error.kind === "not_found" });
  const words = (done) => (done.length === 1 ? say("deleted_one", { name: nameOf(done[0].act.path) }) : say("deleted_many", { count: done.length }));
  report(all, words, { retry: trash, after: look });
  await listing.refresh();
}

const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Opens the menu of an entry beneath its button. */
export function showMenu(button, name) {
  const entry = listing.find(name);
  if (!entry) return;
  listing.setCurrent(name);
  menuFor = name;
  const of = (verb) => menu.querySelector(`[data-verb=${verb}]`);
  of("open").hidden = entry.kind !== "folder";
  of("download").hidden = entry.kind === "folder";
  menu.showPopover();
  const place = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = place.bottom + height + 8 < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(place.right - width, innerWidth - width - 8))}px`;
  menu.style.top = `${below ? place.bottom + 4 : Math.max(8, place.top - height - 4)}px`;
  [...menu.children].find((item) => !item.hidden)?.focus();
}

menu.addEventListener("click", (event) => {
  const verb = event.target.closest("[data-verb]")?.dataset.verb;
  const entry = menuFor === null ? null : listing.find(menuFor);
  if (!verb || !entry) return;
  menu.hidePopover();
  ({ details: () => details.show(entry), open: () => open(entry), download: () => download([entry]), rename: () => rename(entry), delete: () => remove([entry]) })[verb]();
});

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children].filter((item) => !item.hidden);
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  event.stopPropagation();
  if (!by) return;
  event.preventDefault();
  items[(items.indexOf(document.activeElement) + by + items.length) % items.length].focus();
});
