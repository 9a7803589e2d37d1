// What takes a while has a line of its own: how far it is, and a button that stops it.
const list = document.getElementById("jobs");
const template = document.getElementById("job");

/** Shows it. `stop()` is called when it is to end; gives `say(words)` and `gone()`, and `again()` for a stop that was not to be had. */
export function progress(stop) {
  const row = template.content.cloneNode(true).firstElementChild;
  const part = (name) => row.querySelector(`[data-part=${name}]`);
  part("cancel").addEventListener("click", () => {
    part("cancel").disabled = true;
    stop();
  });
  list.append(row);
  return {
    say(words) {
      part("words").textContent = words;
    },
    again() {
      part("cancel").disabled = false;
    },
    gone() {
      row.remove();
    },
  };
}
