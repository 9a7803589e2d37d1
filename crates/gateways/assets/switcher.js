// Ctrl+K: to another place by a few letters of its name. Places come with the page, shared drives and recent files when it is first
// opened, and names in this drive as one types.
import { call } from "./api.js";
import { api, base, count, driveName, folderUrl, parent, say, shown, viewUrl } from "./format.js";

const dialog = document.getElementById("switcher");
const input = document.getElementById("switch-text");
const list = document.getElementById("switch-list");
const said = document.getElementById("switch-said");
const FOUND_MAX = 8;
/** Of shared drives and of recent files, while nothing is typed. */
const OFFERED_MAX = 5;
const PAGE = 6;
/** Milliseconds without a key before names are looked up. */
const STILL = 150;

const optionOf = ({ href, dataset, children: [icon, name, within] }) => {
  const own = base && "ofDrive" in dataset;
  return {
    url: own ? base + href.slice(location.origin.length) : href,
    icon: icon.firstElementChild.getAttribute("href"),
    name: name.textContent,
    within: own ? driveName : within.textContent,
  };
};
const places = [...list.children].map(optionOf);
const blank = list.firstElementChild.cloneNode(true);
let drives = [];
let recent = [];
let found = [];
let options = [];
/** The chosen one: as long as nobody chose, the first. */
let active = null;
let looking = 0;
let timer;
let asked = false;

const file = (path, entry, at = base, drive = driveName) => {
  const folder = entry.kind === "folder";
  const where = parent(path);
  const url = folder ? folderUrl(path, at) : viewUrl(path, at);
  return { url, icon: folder ? "#i-folder" : "#i-file", name: entry.name, within: where === "/" ? drive : drive + where };
};

/** 0: it begins with what is typed, 1: a word of it does, 2: it has all of it somewhere, 3: it has not. */
function rank({ name, within }, words) {
  const text = name.toLocaleLowerCase();
  const all = `${text} ${within.toLocaleLowerCase()}`;
  if (!words.every((word) => all.includes(word))) return 3;
  if (text.startsWith(words[0])) return 0;
  return ` ${text}`.includes(` ${words[0]}`) ? 1 : 2;
}

const ranked = (some, words) => [...some].sort((a, b) => rank(a, words) - rank(b, words));
const fitting = (some, words) => ranked(some.filter((option) => rank(option, words) < 3), words);

const typed = () => input.value.trim();
const wordsOf = (text) => text.toLocaleLowerCase().split(/\s+/).filter(Boolean);

function render() {
  const text = typed();
  const words = wordsOf(text);
  const [home, ...others] = places;
  const search = { url: `${base}/search?text=${encodeURIComponent(text)}`, icon: "#i-search", name: say("switch_search", { text }), within: "" };
  options = words.length > 0 ? [...fitting([...places, ...drives], words), ...found, search] : [home, ...drives.slice(0, OFFERED_MAX), ...recent, ...others];
  list.replaceChildren(...options.map(row));
  mark(options.find((option) => option.url === active?.url) ?? null);
}

function row({ url, icon, name, within }, at) {
  const link = blank.cloneNode(true);
  link.id = `switch-${at}`;
  link.href = url;
  link.querySelector("use").setAttribute("href", icon);
  link.querySelector(".switch-name").textContent = shown(name);
  link.querySelector(".switch-where").textContent = shown(within);
  return link;
}

function mark(option) {
  active = option;
  const at = Math.max(0, options.indexOf(option));
  for (const [nth, link] of [...list.children].entries()) link.setAttribute("aria-selected", String(nth === at));
  input.setAttribute("aria-activedescendant", `switch-${at}`);
  list.children[at].scrollIntoView({ block: "nearest" });
}

function step(by) {
  const at = Math.max(0, options.indexOf(active)) + by;
  const last = options.length - 1;
  // One step beyond an end begins at the other.
  if (Math.abs(by) === 1) mark(options[(at + options.length) % options.length]);
  else mark(options[Math.min(last, Math.max(0, at))]);
}

/** Names in this drive. Latest wins. */
async function look(text) {
  looking += 1;
  const mine = looking;
  let words;
  try {
    const query = new URLSearchParams({ text, anywhere: true, limit: FOUND_MAX });
    const page = await call("GET", `${api}/search?${query}`, { tries: 2 });
    if (mine !== looking) return;
    found = ranked(page.found.map(({ path, entry }) => file(path, entry)), wordsOf(text));
    render();
    words = count("search_one", "search_many", options.length - 1);
  } catch {
    words = say("switch_failed");
  }
  if (mine === looking) said.textContent = words;
}

/** What takes a moment to know; without it, there is still all the rest. */
async function ask() {
  asked = true;
  const shared = call("GET", "/api/v1/drives", { tries: 2 }).then((answer) => {
    drives = answer.drives.map(({ id, name }) => ({ url: `/drives/${id}/`, icon: "#i-people", name, within: say("shared_drives") }));
  });
  const last = call("GET", "/api/v1/recent", { tries: 2 }).then(({ items }) => {
    const at = ({ drive }) => (drive === "own" ? "" : `/drives/${drive}`);
    recent = items.slice(0, OFFERED_MAX).map((one) => file(one.path, one.entry, at(one), one.drive_name));
  });
  const outcomes = await Promise.allSettled([shared, last]);
  // Then they are asked for again.
  asked = outcomes.every((one) => one.status === "fulfilled");
  if (dialog.open) render();
}

export function show() {
  input.value = "";
  found = [];
  active = null;
  said.textContent = "";
  dialog.showModal();
  render();
  input.focus();
  if (!asked) ask();
}

input.addEventListener("input", () => {
  const text = typed();
  looking += 1;
  clearTimeout(timer);
  active = null;
  // Until those of this text are there, those of the one before that still fit.
  found = text ? found.filter(({ name }) => name.toLocaleLowerCase().includes(text.toLocaleLowerCase())) : [];
  render();
  if (text) timer = setTimeout(() => look(text), STILL);
});

const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity };
dialog.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  if (event.isComposing || altKey) return;
  if ((ctrlKey || metaKey) && key.toLowerCase() === "k") {
    event.preventDefault();
    return dialog.close();
  }
  if (event.target !== input) return;
  if (Object.hasOwn(steps, key) && !ctrlKey && !metaKey && !shiftKey) {
    event.preventDefault();
    step(steps[key]);
  } else if (key === "Enter") {
    event.preventDefault();
    go(list.querySelector("[aria-selected=true]"), ctrlKey || metaKey);
  }
});

function go(link, beside) {
  if (beside) window.open(link.href, "_blank", "noopener");
  // As by a click: the drive's page goes to its own folders without a new page.
  else link.click();
}

list.addEventListener("click", (event) => {
  const plainly = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (event.target.closest("[role=option]") && plainly) dialog.close();
});
list.addEventListener("pointermove", ({ target }) => {
  const link = target.closest("[role=option]");
  if (link && link.ariaSelected !== "true") mark(options[[...list.children].indexOf(link)]);
});
dialog.addEventListener("click", ({ target }) => {
  // A click beside it.
  if (target === dialog) dialog.close();
});
document.getElementById("switch-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  clearTimeout(timer);
  looking += 1;
});
