// Choosing a folder: one of this drive, found by going there.
import { call } from "./api.js";
import { join, parent, say } from "./format.js";

const dialog = document.getElementById("choose");
const part = (name) => dialog.querySelector(`[data-part=${name}]`);
const FOLDERS_MAX = 2000;
const nameOf = (path) => (path === "/" ? say("drive_root") : path.slice(path.lastIndexOf("/") + 1));

async function foldersOf(path) {
  const names = [];
  let cursor = "";
  // Sorted by size, folders come before all files.
  do {
    const query = new URLSearchParams({ path, order: "size", limit: 500, cursor });
    const page = await call("GET", `/api/v1/drive/list?${query}`);
    const folders = page.entries.filter((entry) => entry.kind === "folder");
    names.push(...folders.map((entry) => entry.name));
    cursor = folders.length === page.entries.length ? page.next : null;
  } while (cursor && names.length < FOLDERS_MAX);
  return names.sort(new Intl.Collator(undefined, { numeric: true }).compare);
}

/** Asks for a folder, beginning at one; `refuse(path)` says why one cannot be chosen. Nothing when it is closed. */
export function choose({ title, button, from, refuse }) {
  let at = from;
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
      const names = await foldersOf(path);
      if (mine !== load) return;
      at = path;
      part("here").textContent = nameOf(path);
      part("up").disabled = path === "/";
      part("none").hidden = names.length > 0;
      part("list").replaceChildren(...names.map((name) => item(join(path, name))));
      const why = refuse(path);
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
    row.querySelector("[data-part=name]").textContent = nameOf(path);
    open.addEventListener("click", () => go(path));
    return row;
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
      chosen = at;
      dialog.close();
    });
    on(dialog, "close", () => {
      load += 1;
      ending.abort();
      done(chosen);
    });
    part("list").replaceChildren();
    dialog.showModal();
    go(from);
  });
}
