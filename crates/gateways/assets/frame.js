// What every page of somebody who is signed in shares: the switcher, the list of its keys, and the way to the search.
import { anyOpen } from "./dialog.js";
import { base } from "./format.js";
import { forget } from "./kept.js";
import { show as showSwitcher } from "./switcher.js";

const listing = document.getElementById("listing");
const search = document.querySelector("main input[name=text]");
const showShortcuts = () => document.getElementById("shortcuts").showModal();

export const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

// There Ctrl+K cuts a line's end away.
const apple = /Mac|iPhone|iPad/.test(navigator.platform);
if (apple) for (const key of document.querySelectorAll("[data-key=Control]")) key.textContent = "⌘";

const plain = {
  "?": showShortcuts,
  "/": () => (search ? search.focus() : location.assign(`${base}/search`)),
};

document.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey, target } = event;
  if (event.defaultPrevented || event.isComposing || anyOpen()) return;
  if ((apple ? metaKey && !ctrlKey : ctrlKey && !metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k") {
    event.preventDefault();
    return showSwitcher();
  }
  if (ctrlKey || metaKey || altKey || typing(target) || !Object.hasOwn(plain, key)) return;
  // The listing's own filter.
  if (key === "/" && listing) return;
  event.preventDefault();
  plain[key]();
});
document.getElementById("show-switcher").addEventListener("click", showSwitcher);
document.getElementById("show-shortcuts").addEventListener("click", showShortcuts);
document.querySelector("form[action='/logout']").addEventListener("submit", forget);
document.documentElement.dataset.framed = "true";
