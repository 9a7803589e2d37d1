// Short messages that go away by themselves, unless they are being read.
import { say } from "./format.js";

const box = document.getElementById("toasts");
const template = document.getElementById("toast");
const SHOWN_MAX = 4;

function show(words, { action, act, bad = false, id = "", seconds = 6 } = {}) {
  const toast = template.content.cloneNode(true).firstElementChild;
  const part = (name) => toast.querySelector(`[data-part=${name}]`);
  part("text").textContent = words;
  part("id").textContent = id && `${say("error_reference")} ${id}`;
  const button = part("act");
  button.hidden = !action;
  button.textContent = action ?? "";
  let timer;
  const close = () => {
    clearTimeout(timer);
    toast.remove();
  };
  const start = () => {
    timer = setTimeout(close, seconds * 1000);
  };
  button.addEventListener("click", () => {
    close();
    act?.();
  });
  part("close").addEventListener("click", close);
  for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, start);
  if (bad) {
    toast.classList.add("bad");
    toast.setAttribute("role", "alert");
  }
  box.append(toast);
  while (box.children.length > SHOWN_MAX) box.firstElementChild.remove();
  start();
  return close;
}

/** Something was done; `undo` takes it back. Gives what closes it. */
export function tell(words, undo) {
  return show(words, undo ? { action: say("undo"), act: undo, seconds: 9 } : {});
}

/** Something was not done; `retry` does it again. */
export function complain(problem, retry) {
  const words = [problem.message, problem.action].filter(Boolean).join(" ");
  const again = retry && problem.passes ? { action: say("try_again"), act: retry } : {};
  show(words, { bad: true, id: problem.id ?? "", seconds: 15, ...again });
}
