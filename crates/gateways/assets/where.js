// Addresses of folders in the order that is chosen, and what of the page says where one is: the path, the title, the columns' heads.
import * as entries from "./entries.js";
import { base, driveName, folderUrl, join, say, shown, viewUrl } from "./format.js";

const table = document.getElementById("listing");

/** A folder's address, with the order that is chosen. */
export function address(folder, sort = entries.sorted()) {
  return folderUrl(folder) + chosenOrder(sort);
}

/** A file's page, from which the files beside it are found in the order that is chosen. */
export const viewAddress = (name) => viewUrl(join(entries.path(), name)) + chosenOrder(entries.sorted());

function chosenOrder({ by, down }) {
  const query = new URLSearchParams();
  if (by !== "name" || down) query.set("order", by);
  if (down) query.set("reverse", "true");
  return query.size > 0 ? `?${query}` : "";
}

/** A column that is chosen again turns round. Names begin with A; the largest and the latest are looked for first. */
export function turned(by) {
  const now = entries.sorted();
  return { by, down: by === now.by ? !now.down : by !== "name" };
}

export function heads() {
  const now = entries.sorted();
  for (const head of table.querySelectorAll("[data-sort]")) {
    const by = head.dataset.sort;
    head.querySelector("a").href = address(entries.path(), turned(by));
    if (by === now.by) head.setAttribute("aria-sort", now.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

export function crumbs() {
  const path = entries.path();
  const names = path === "/" ? [] : path.slice(1).split("/");
  const list = document.querySelector("#crumbs ol");
  let folder = "/";
  const items = [driveName, ...names].map((name, at) => {
    if (at > 0) folder = join(folder, name);
    const item = document.createElement("li");
    const last = at === names.length;
    const label = document.createElement(last ? "h1" : "a");
    label.textContent = shown(name);
    if (last) {
      label.setAttribute("aria-current", "page");
      item.append(label);
    } else {
      label.href = folderUrl(folder);
      const arrow = document.querySelector("#menu .icon").cloneNode(true);
      arrow.querySelector("use").setAttribute("href", "#i-chevron");
      item.append(label, arrow);
    }
    return item;
  });
  list.replaceChildren(...items);
  document.title = `${shown(entries.here())} · ${say("product")}`;
}

/** The order that a page address names. */
export function sortOf(url) {
  return { by: url.searchParams.get("order") ?? "name", down: url.searchParams.get("reverse") === "true" };
}

/** The folder that a page address of ours names. */
export function folderOf(url) {
  if (url.origin !== location.origin) return null;
  if (!url.pathname.startsWith(`${base}/`)) return null;
  const path = url.pathname.slice(base.length);
  if (path === "/" || path === "/drive" || path === "/drive/") return "/";
  if (!path.startsWith("/drive/")) return null;
  return path.slice("/drive".length).replace(/\/$/, "").split("/").map(decodeURIComponent).join("/");
}
