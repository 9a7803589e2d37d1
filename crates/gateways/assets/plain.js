// What all plain pages of the drive share: dates, small pictures, questions that close, and the way to the search.
import "./dates.js";
import { base } from "./format.js";
import "./thumbs.js";

// One question at a time; Esc and a click beside it take it back.
const questions = () => [...document.querySelectorAll("details.sure[open]")];
const shut = (but) => questions().forEach((one) => one !== but && (one.open = false));
document.addEventListener("toggle", ({ target }) => target.matches("details.sure[open]") && shut(target), true);
document.addEventListener("click", (event) => shut(event.target.closest("details.sure")));
document.addEventListener("keydown", (event) => {
  const [open] = questions();
  if (event.key === "Escape" && open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

const search = document.querySelector("input[name=text]");
document.addEventListener("keydown", (event) => {
  // The listing has keys of its own.
  if (event.defaultPrevented || document.getElementById("listing")) return;
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
  event.preventDefault();
  if (search) search.focus();
  else location.assign(`${base}/search`);
});
