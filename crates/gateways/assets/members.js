// A role is saved as it is chosen; without scripts there is a button.
import "./plain.js";

for (const form of document.querySelectorAll("form[data-saves]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
