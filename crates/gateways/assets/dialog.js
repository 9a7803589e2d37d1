// Questions in a small window: a name, or yes and no. The browser's own dialog closes on Esc and keeps the focus.

function parts(dialog) {
  return (name) => dialog.querySelector(`[data-part=${name}]`);
}

/** Runs an open dialog until it is closed; `submit` may be asynchronous and throw, which is shown. */
function run(dialog, submit) {
  const part = parts(dialog);
  const form = dialog.querySelector("form");
  const error = part("error");
  return new Promise((done) => {
    let result;
    const closing = new AbortController();
    const on = (target, event, handler) => target.addEventListener(event, handler, { signal: closing.signal });
    on(part("cancel"), "click", () => dialog.close());
    on(dialog, "click", (event) => {
      // A click beside it.
      if (event.target === dialog) dialog.close();
    });
    on(form, "submit", async (event) => {
      event.preventDefault();
      const button = part("submit");
      if (button.disabled) return;
      button.disabled = true;
      try {
        result = await submit();
        dialog.close();
      } catch (problem) {
        if (error) {
          error.hidden = false;
          error.textContent = [problem.message, problem.action].filter(Boolean).join(" ");
        }
        part("input")?.focus();
      } finally {
        button.disabled = false;
      }
    });
    on(dialog, "close", () => {
      closing.abort();
      done(result);
    });
    dialog.showModal();
  });
}

/** Asks for a name, and does with it what `submit` does; stays open with the reason while that fails. */
export function ask({ title, label, value = "", button, submit }) {
  const dialog = document.getElementById("ask");
  const part = parts(dialog);
  part("title").textContent = title;
  part("label").textContent = label;
  part("submit").textContent = button;
  part("error").hidden = true;
  const input = part("input");
  input.value = value;
  const result = run(dialog, () => submit(input.value.trim()));
  input.focus();
  const dot = value.lastIndexOf(".");
  input.setSelectionRange(0, dot > 0 ? dot : value.length);
  return result;
}

export function anyOpen() {
  return document.querySelector("dialog[open]") !== null;
}
