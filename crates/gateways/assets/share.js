// Copying a link's address.
import { say } from "./format.js";
import "./plain.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = button.parentElement.querySelector("input");
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Only over https, or with leave: then it is selected, to be copied by hand or by the older way.
    field.focus();
    field.select();
    if (!document.execCommand("copy")) return;
  }
  button.textContent = say("link_copied");
  setTimeout(() => (button.textContent = say("link_copy")), 2000);
});
