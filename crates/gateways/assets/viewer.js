// A file's page: the files beside it and its folder by keys; pages of a PDF; code in colours.
const link = (id) => document.getElementById(id);
const keys = { ArrowLeft: "previous", ArrowRight: "next", Escape: "back" };

document.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey, target } = event;
  if (event.defaultPrevented || ctrlKey || metaKey || altKey || shiftKey || !Object.hasOwn(keys, key)) return;
  // Sound and films are wound by these; a question is closed by Esc.
  if (target.closest("input, textarea, select, audio, video, details[open]") || document.fullscreenElement) return;
  // A wide text is scrolled first.
  const wide = key !== "Escape" && target.closest("pre, .pages");
  if (wide && wide.scrollWidth > wide.clientWidth) return;
  const to = link(keys[key]);
  if (!to) return;
  event.preventDefault();
  to.click();
});

if (document.getElementById("pages")) import("./pages.js");
if (document.querySelector("pre[data-code]")) import("./code.js");
document.documentElement.dataset.ready = "true";
