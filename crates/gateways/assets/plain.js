// What all plain pages of the drive share: dates, small pictures, and questions that close.
import "./dates.js";
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
