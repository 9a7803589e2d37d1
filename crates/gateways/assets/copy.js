// Copying what stands beside the button: a link's address, or secrets that are shown once.
import { say } from "./format.js";

const textOf = (field) => field.value ?? [...field.querySelectorAll("code")].map((one) => one.textContent).join("\n");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = button.parentElement.querySelector("input, .secrets");
  try {
    await navigator.clipboard.writeText(textOf(field));
  } catch {
    // Only over https, or with leave: then it is selected, to be copied by hand or by the older way.
    if (field.select) {
      field.focus();
      field.select();
    } else getSelection().selectAllChildren(field);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = say("link_copied");
  setTimeout(() => (button.textContent = say("link_copy")), 2000);
});
