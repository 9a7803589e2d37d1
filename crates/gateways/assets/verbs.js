// What can be done with entries: open, download, new folder, rename, delete; and the menu that offers it.
import { perform } from "./acts.js";
import { call } from "./api.js";
import { choose } from "./chooser.js";
import * as details from "./details.js";
import { anyOpen, ask } from "./dialog.js";
import { api, base, count, driveId, driveName, fileUrl, join, say } from "./format.js";
import * as jobs from "./jobs.js";
import * as listing from "./listing.js";
import { offer, report } from "./report.js";
import { complain, tell } from "./toast.js";
import { busy } from "./uploads.js";

const menu = document.getElementById("menu");
/** Characters of an address that everything on the way lets through. */
const ADDRESS_MAX = 6000;
/** Requests under way together. */
const STARS_AT_ONCE = 8;
let menuFor = null;

export function open(entry) {
  if (entry.kind === "folder") listing.open(join(listing.path(), entry.name));
  else leave(listing.viewAddress(entry.name));
}

/** To another page; beside this one while it has uploads under way. */
export function leave(url) {
  if (busy()) window.open(url, "_blank", "noopener");
  else location.assign(url);
}

/** A file as it is; a folder, or several things, as one archive. */
export function download(entries) {
  if (entries.length === 0) return;
  const paths = entries.map((entry) => join(listing.path(), entry.name));
  if (entries.length === 1 && entries[0].kind === "file") return follow(fileUrl(paths[0]));
  const query = new URLSearchParams(paths.map((path) => ["path", path]));
  const url = `${api}/archive?${query}`;
  if (url.length < ADDRESS_MAX) return follow(url);
  // Too much for an address.
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: `${api}/archive`, hidden: true });
  for (const path of paths) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name: "path", value: path });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}

function follow(url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
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
      const made = await call("POST", `${api}/folder`, { body: { path: join(folder, wanted) }, accept });
      return made.entry?.name ?? wanted.normalize("NFC");
    },
  });
  if (!name) return;
  offer(say("folder_created", { name }), () => trash(folder, [{ act: "trash", path: join(folder, name), recursive: true }]));
  await listing.refresh();
  if (folder === listing.path()) await listing.goTo(name);
}

export async function rename(entry) {
  const folder = listing.path();
  const from = join(folder, entry.name);
  let all;
  const name = await ask({
    title: say("rename_title"),
    label: say("rename_label"),
    value: entry.name,
    button: say("rename"),
    submit: async (wanted) => {
      if (wanted === entry.name) return wanted;
      // What an earlier try whose answer was lost has renamed is not there any more.
      all = await perform([{ act: "move", from, to: join(folder, wanted) }], { again: (error) => error.kind === "not_found" });
      if (all.failed.length > 0) throw all.failed[0].error;
      return nameOf(all.done[0].outcome.path ?? wanted.normalize("NFC"));
    },
  });
  if (!name || name === entry.name) return listing.focus(entry.name);
  report(all, () => say("renamed", { name }), { after: look });
  await listing.refresh();
  listing.forget(folder, [entry.name]);
  if (folder === listing.path()) {
    listing.clearSelection();
    await listing.goTo(name);
  }
}

/** Looks again. Who is elsewhere meanwhile, in the filter say, stays there. */
async function look() {
  const came = await listing.refresh();
  if (anyOpen() || !listing.mayFocus()) return;
  const places = [...came].map(listing.position).filter((at) => at >= 0);
  listing.focus(listing.all()[Math.min(...places)]?.name);
}

/** To the trash, from where it comes back. */
export async function remove(entries) {
  if (entries.length === 0) return;
  const folder = listing.path();
  const names = entries.map(({ name }) => name);
  listing.flag("leaving", names);
  await trash(folder, names.map((name) => ({ act: "trash", path: join(folder, name), recursive: true })));
  if (folder === listing.path()) listing.clearSelection();
  listing.flag("leaving", names, false);
  listing.focus();
}

async function trash(folder, acts) {
  // What an earlier try whose answer was lost has deleted is not there.
  const all = await perform(acts, { again: (error) => error.kind === "not_found" });
  const words = (done) => (done.length === 1 ? say("deleted_one", { name: nameOf(done[0].act.path) }) : say("deleted_many", { count: done.length }));
  report(all, words, { retry: (failed) => trash(folder, failed), after: look });
  listing.forget(folder, all.done.map(({ act }) => nameOf(act.path)));
  await listing.refresh();
}

const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Moves or copies entries of a folder into another. A name that is taken gets a number; what went elsewhere already is not there. */
async function put(act, from, names, { path, drive }) {
  const elsewhere = drive.base === base ? {} : { from_drive: driveId };
  const acts = names.map((name) => ({ act, ...elsewhere, from: join(from, name), to: join(path, name), clash: "keep_both" }));
  await putAll(act, from, acts, { path, drive });
}

/** Moves entries of a folder into another of this drive. */
export const moveTo = (from, names, path) => put("move", from, names, { path, drive: { base, api, name: driveName } });

async function putAll(act, from, acts, to) {
  const within = to.drive.api;
  // A copy made twice is one too many.
  const all = await perform(acts, { once: act === "copy", within });
  // Copies of folders only began.
  const begun = all.done.filter(({ outcome }) => outcome.job?.state === "running");
  for (const { outcome } of begun) jobs.follow(outcome.job, look, to.drive);
  const ids = new Set(begun.map(({ outcome }) => outcome.job.id));
  const done = all.done.filter((one) => !begun.includes(one));
  const undo = all.undo.filter((one) => !ids.has(one.id));
  const folder = to.path === "/" ? to.drive.name : nameOf(to.path);
  const [one, many] = act === "move" ? ["moved_one", "moved_many"] : ["copied_to", "copied_many"];
  const words = () => (done.length === 1 ? say(one, { path: to.drive.name + done[0].outcome.path }) : say(many, { count: done.length, folder }));
  report({ done, failed: all.failed, undo }, words, { retry: (failed) => putAll(act, from, failed, to), after: look, within });
  listing.clearSelection();
  if (act === "move") listing.forget(from, done.map((one) => nameOf(one.act.from)));
  await look();
}

export async function putElsewhere(act, entries) {
  if (entries.length === 0) return;
  const folder = listing.path();
  const inside = entries.filter((entry) => entry.kind === "folder").map((entry) => join(folder, entry.name));
  const refuse = (path) => {
    if (inside.some((one) => path === one || path.startsWith(`${one}/`))) return say("choose_inside");
    return act === "move" && path === folder ? say("choose_same") : null;
  };
  const number = entries.length;
  const title = number === 1 ? say(`${act}_title_one`, { name: entries[0].name }) : say(`${act}_title_many`, { count: number });
  const to = await choose({ title, button: say(`${act}_here`), from: folder, refuse, anywhere: act === "copy" });
  if (to === undefined) return listing.focus();
  await put(act, folder, entries.map((entry) => entry.name), to);
}

let taken = null;

/** Cut or copied, to be put where `paste` is called. */
export function take(act, entries) {
  if (entries.length === 0) return;
  taken = { act, from: listing.path(), names: entries.map((entry) => entry.name) };
  tell(count("taken_one", "taken_many", entries.length));
}

export async function paste() {
  if (!taken || (taken.act === "move" && taken.from === listing.path())) return;
  const { act, from, names } = taken;
  if (act === "move") taken = null;
  await put(act, from, names, { path: listing.path(), drive: { base, api, name: driveName } });
}

export const followJobs = () => jobs.followAll(look);

/** Stars them; where all are starred, takes their stars away. */
export async function star(entries) {
  if (entries.length === 0) return;
  const folder = listing.path();
  const on = !entries.every((entry) => entry.starred);
  const names = entries.filter((entry) => Boolean(entry.starred) !== on).map((entry) => entry.name);
  const [one, many] = on ? ["starred_one", "starred_many"] : ["unstarred_one", "unstarred_many"];
  const words = entries.length === 1 ? say(one, { name: names[0] }) : say(many, { count: entries.length });
  await setStars(folder, names, on, () => offer(words, () => setStars(folder, names, !on, () => tell(say("undone")))));
}

async function setStars(folder, names, on, done) {
  const set = (name) => call(on ? "PUT" : "DELETE", `${api}/star?path=${encodeURIComponent(join(folder, name))}`);
  try {
    for (let at = 0; at < names.length; at += STARS_AT_ONCE) await Promise.all(names.slice(at, at + STARS_AT_ONCE).map(set));
    done();
  } catch (problem) {
    complain(problem, () => setStars(folder, names, on, done));
  }
  await listing.refresh();
}

/** Opens the menu of an entry beneath its button. */
export function showMenu(button, name) {
  const entry = listing.find(name);
  if (!entry) return;
  listing.setCurrent(name);
  menuFor = name;
  const of = (verb) => menu.querySelector(`[data-verb=${verb}]`);
  of("star").querySelector("span").textContent = say(entry.starred ? "unstar" : "star");
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
  ({ star: () => star([entry]), move: () => putElsewhere("move", [entry]), copy: () => putElsewhere("copy", [entry]), details: () => details.show(entry), share: () => details.share(entry), open: () => open(entry), download: () => download([entry]), rename: () => rename(entry), delete: () => remove([entry]) })[verb]();
});

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children].filter((item) => !item.hidden);
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  event.stopPropagation();
  if (!by) return;
  event.preventDefault();
  items[(items.indexOf(document.activeElement) + by + items.length) % items.length].focus();
});
