// Handing in files by a link, with progress. Without scripts the form does the same.
import { wait } from "./api.js";
import { percent, say, shown, speed } from "./format.js";
import { send } from "./send.js";

const TRIES = 14;
const form = document.getElementById("hand-in");
const files = document.getElementById("files");
const list = document.getElementById("handed-in");
const blank = document.getElementById("handing-in");

/** The same for each try of the same file, so that none is put twice. */
function identity() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function show(file) {
  const item = blank.content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`[data-part=${name}]`);
  part("name").textContent = shown(file.name);
  part("progress").setAttribute("aria-label", shown(file.name));
  list.append(item);
  const say = (words) => (part("state").textContent = words);
  return { item, say, progress: part("progress") };
}

async function hand(file, shown) {
  const query = new URLSearchParams({ name: file.name.normalize("NFC"), version: identity(), mtime: file.lastModified });
  for (let attempt = 0; ; attempt += 1) {
    const began = performance.now();
    const watch = (sent, total) => {
      shown.progress.value = total > 0 ? sent / total : 1;
      const seconds = (performance.now() - began) / 1000;
      shown.say(sent >= total ? say("upload_saving") : say("upload_sending", { percent: percent(sent / total), speed: speed(sent / Math.max(seconds, 0.1)) }));
    };
    try {
      return await send(`${form.action}?${query}`, file, watch, new AbortController().signal);
    } catch (problem) {
      if (!problem.passes || attempt + 1 >= TRIES) throw problem;
      shown.say(say("reconnecting"));
      await wait(attempt);
    }
  }
}

let underWay = 0;
addEventListener("beforeunload", (event) => underWay > 0 && event.preventDefault());

async function all(chosen) {
  const shown = chosen.map((file) => [file, show(file)]);
  for (const [, it] of shown) it.say(say("upload_waiting"));
  underWay += shown.length;
  for (const [file, it] of shown) {
    try {
      await hand(file, it);
      it.item.classList.add("done");
      it.progress.value = 1;
      it.say(say("upload_saved"));
    } catch (problem) {
      it.item.classList.add("failed");
      it.say(say("upload_failed", { why: [problem.message, problem.action].filter(Boolean).join(" ") }));
    }
    underWay -= 1;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...files.files];
  form.reset();
  document.getElementById("done").hidden = true;
  all(chosen);
});

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  all([...event.dataTransfer.files]);
});
