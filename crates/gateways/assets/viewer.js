// A file's page: the files beside it and its folder by keys; pages of a PDF; code in colours.
const link = (id) => document.getElementById(id);
const keys = { ArrowLeft: "previous", ArrowRight: "next", Escape: "back" };

document.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey, target } = event;
  // Esc closes one layer.
  if (document.querySelector("dialog[open]")) return;
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

// A picture that is damaged, or of a kind that this browser does not know: the bytes are downloaded.
async function unseen(image) {
  const { say } = await import("./format.js");
  const words = Object.assign(document.createElement("p"), { className: "nothing", textContent: say("view_failed") });
  words.setAttribute("role", "status");
  image.replaceWith(words);
}
const picture = document.querySelector("img.shown");
if (picture?.complete && picture.naturalWidth === 0) unseen(picture);
else picture?.addEventListener("error", () => unseen(picture));

if (document.getElementById("pages")) import("./pages.js");
if (document.querySelector("pre[data-code]")) import("./code.js");
document.documentElement.dataset.ready = "true";
