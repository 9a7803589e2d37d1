// The Drive's page comes alive: what is clicked, chosen and navigated.
import "./band.js";
import { TYPE } from "./carry.js";
import { ofDirectory, takeDrops } from "./drop.js";
import { edits, say } from "./format.js";
import "./keys.js";
import * as listing from "./listing.js";
import { add } from "./uploads.js";
import * as verbs from "./verbs.js";

const $ = (id) => document.getElementById(id);
const body = $("entries");
const nameOf = (target) => target.closest(".row")?.dataset.name;
const isPlain = (event) => event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

// Ways between folders stay on this page, so that uploads go on.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || !isPlain(event) || event.defaultPrevented || link.id === "look") return;
  const sort = link.closest("[data-sort]")?.dataset.sort;
  const folder = listing.folderOf(new URL(link.href));
  if (folder === null || link.id === "more") return;
  if (sort) {
    event.preventDefault();
    return listing.sortBy(sort);
  }
  event.preventDefault();
  listing.open(folder);
});
addEventListener("popstate", () => {
  const folder = listing.folderOf(new URL(location.href));
  if (folder !== null) listing.open(folder, { push: false, sort: listing.sortOf(new URL(location.href)) });
});

body.addEventListener("click", (event) => {
  const name = nameOf(event.target);
  if (name === undefined) return;
  const button = event.target.closest(".do button");
  if (button) return verbs.showMenu(button, name);
  if (event.target.closest("label")) return;
  const onLink = event.target.closest("a");
  if (event.shiftKey) {
    event.preventDefault();
    listing.selectTo(name);
  } else if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    listing.toggle(name);
  } else if (!onLink) {
    listing.selectOnly(name);
  } else if (isPlain(event) && listing.find(name)?.kind === "file") {
    event.preventDefault();
    verbs.leave(listing.viewAddress(name));
  }
});
body.addEventListener("change", (event) => listing.toggle(nameOf(event.target)));
body.addEventListener("dblclick", (event) => {
  const entry = listing.find(nameOf(event.target));
  if (entry && !event.target.closest("a, button, label")) verbs.open(entry);
});
body.addEventListener("focusin", (event) => {
  const name = nameOf(event.target);
  if (name !== undefined) listing.setCurrent(name);
});
body.addEventListener("contextmenu", (event) => {
  const row = event.target.closest(".row");
  // The browser's own menu of a link stays where it is wanted.
  if (!row || event.shiftKey || event.target.closest("a")) return;
  event.preventDefault();
  verbs.showMenu(row.querySelector(".do button"), row.dataset.name);
});

$("new-folder")?.addEventListener("click", verbs.newFolder);
$("upload")?.addEventListener("click", () => $("upload-files").click());
$("upload-first")?.addEventListener("click", () => $("upload-files").click());
$("upload-folder")?.addEventListener("click", () => $("upload-directory").click());
$("upload-files")?.addEventListener("change", ({ target }) => {
  add(listing.path(), [...target.files].map((file) => ({ file, folder: "" })));
  target.value = "";
});
$("upload-directory")?.addEventListener("change", ({ target }) => {
  add(listing.path(), ofDirectory(target));
});
takeDrops({
  may: (event) => edits && !event.dataTransfer.types.includes(TYPE),
  target: () => say("drop_target", { name: listing.here() }),
  take: () => {
    const into = listing.path();
    return (found) => add(into, found);
  },
});
$("look").addEventListener("click", (event) => {
  if (!isPlain(event)) return;
  event.preventDefault();
  listing.toggleLook();
});
$("clear-selection").addEventListener("click", () => {
  listing.clearSelection();
  listing.focus();
});
$("download-selected").addEventListener("click", () => verbs.download(listing.chosen()));
$("rename-selected")?.addEventListener("click", () => verbs.rename(listing.chosen()[0]));
$("move-selected")?.addEventListener("click", () => verbs.putElsewhere("move", listing.chosen()));
$("copy-selected")?.addEventListener("click", () => verbs.putElsewhere("copy", listing.chosen()));
$("delete-selected")?.addEventListener("click", () => verbs.remove(listing.chosen()));
$("more").addEventListener("click", (event) => {
  event.preventDefault();
  listing.more();
});
new IntersectionObserver((seen) => {
  if (seen.some((one) => one.isIntersecting)) listing.more();
}, { rootMargin: "2000px" }).observe($("further"));

// Others may have changed something while nobody looked.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) listing.refresh();
});

listing.render();
verbs.followJobs();
document.documentElement.dataset.ready = "true";
