// Choosing a folder: one of this drive, or where that makes sense of another, found by going there.
import { call } from "./api.js";
import { api, base, driveName, edits, join, parent, say, shown } from "./format.js";

const dialog = document.getElementById("choose");
const part = (name) => dialog.querySelector(`[data-part=${name}]`);
const FOLDERS_MAX = 2000;
const nameOf = (path, drive) => (path === "/" ? drive.name : path.slice(path.lastIndexOf("/") + 1));

const here = { base, api, name: driveName };

/** The drives that something can be put into, this one first. */
async function drivesToChange() {
  const own = { base: "", api: "/api/v1/drive", name: say("drive_root") };
  const { drives } = await call("GET", "/api/v1/drives");
  const shared = drives
    .filter((one) => one.role !== "view")
    .map((one) => ({ base: `/drives/${one.id}`, api: `/api/v1/drives/${one.id}`, name: one.name }));
  const others = [own, ...shared].filter((one) => one.base !== base);
  return edits ? [here, ...others] : others;
}

async function foldersOf(path, drive) {
  const names = [];
  let cursor = "";
  // Sorted by size, folders come before all files.
  do {
    const query = new URLSearchParams({ path, order: "size", limit: 500, cursor });
    const page = await call("GET", `${drive.api}/list?${query}`);
    const folders = page.entries.filter((entry) => entry.kind === "folder");
    names.push(...folders.map((entry) => entry.name));
    cursor = folders.length === page.entries.length ? page.next : null;
  } while (cursor && names.length < FOLDERS_MAX);
  return names.sort(new Intl.Collator(undefined, { numeric: true }).compare);
}

/**
 * Asks for a folder, beginning at one: its path, and its drive. `refuse(path)` says why one of this drive cannot be chosen;
 * `anywhere`: of other drives, too. Nothing when it is closed.
 */
export function choose({ title, button, from, refuse, anywhere = false }) {
  let at = from;
  let drive = here;
  let drives = [here];
  const which = part("drive");
  let load = 0;
  part("title").textContent = title;
  part("submit").textContent = button;

  async function go(path) {
    load += 1;
    const mine = load;
    const error = part("error");
    error.hidden = true;
    dialog.setAttribute("aria-busy", "true");
    try {
      const names = await foldersOf(path, drive);
      if (mine !== load) return;
      at = path;
      part("here").textContent = shown(nameOf(path, drive));
      part("up").disabled = path === "/";
      part("none").hidden = names.length > 0;
      part("list").replaceChildren(...names.map((name) => item(join(path, name))));
      const why = drive === here ? refuse(path) : null;
      part("submit").disabled = why !== null;
      error.hidden = !why;
      error.textContent = why ?? "";
      (part("list").querySelector("button:not(:disabled)") ?? part("up")).focus();
    } catch (problem) {
      if (mine !== load) return;
      error.hidden = false;
      error.textContent = [problem.message, problem.action].filter(Boolean).join(" ");
    } finally {
      dialog.removeAttribute("aria-busy");
    }
  }

  function item(path) {
    const row = document.getElementById("choose-item").content.cloneNode(true).firstElementChild;
    const open = row.querySelector("button");
    row.querySelector("[data-part=name]").textContent = shown(nameOf(path, drive));
    open.addEventListener("click", () => go(path));
    return row;
  }

  async function offer() {
    try {
      drives = await drivesToChange();
    } catch {
      // Then there is this one.
      return;
    }
    if (!dialog.open || drives.length === 0) return;
    which.replaceChildren(...drives.map((one) => new Option(one.name)));
    which.parentElement.hidden = drives.length === 1 && edits;
    if (edits) return;
    drive = drives[0];
    go("/");
  }

  return new Promise((done) => {
    let chosen;
    const ending = new AbortController();
    const on = (target, event, handler) => target.addEventListener(event, handler, { signal: ending.signal });
    on(part("up"), "click", () => go(parent(at)));
    on(part("cancel"), "click", () => dialog.close());
    on(dialog, "click", (event) => event.target === dialog && dialog.close());
    on(dialog, "keydown", (event) => {
      const rows = [...part("list").querySelectorAll("button")];
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.altKey && event.key === "ArrowUp") {
        event.preventDefault();
        if (at !== "/") go(parent(at));
      } else if (by && rows.length > 0) {
        event.preventDefault();
        rows[(rows.indexOf(document.activeElement) + by + rows.length) % rows.length].focus();
      }
    });
    on(dialog.querySelector("form"), "submit", (event) => {
      event.preventDefault();
      chosen = { path: at, drive };
      dialog.close();
    });
    on(dialog, "close", () => {
      load += 1;
      ending.abort();
      done(chosen);
    });
    part("list").replaceChildren();
    which.parentElement.hidden = true;
    on(which, "change", () => {
      drive = drives[which.selectedIndex];
      go(drive === here ? from : "/");
    });
    dialog.showModal();
    if (edits) go(from);
    else part("submit").disabled = true;
    if (anywhere) offer();
  });
}
