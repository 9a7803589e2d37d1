// The trash is emptied to the end, however long that takes.
import { call } from "./api.js";
import { api, base, say } from "./format.js";
import "./plain.js";
import { complain } from "./toast.js";

const told = document.getElementById("told");
const form = document.getElementById("empty-trash");

/** One call empties for some seconds. What is deleted after the first began stays. */
async function empty() {
  const button = form.querySelector("button");
  button.disabled = true;
  let removed = 0;
  let until;
  try {
    for (;;) {
      told.hidden = false;
      told.textContent = say("trash_emptying", { count: removed });
      const query = until === undefined ? "" : `?until=${until}`;
      const answer = await call("POST", `${api}/trash/empty${query}`, { body: {} });
      removed += answer.removed;
      until ??= answer.until;
      if (!answer.more) break;
    }
    location.assign(`${base}/trash?done=emptied`);
  } catch (problem) {
    told.hidden = true;
    complain(problem, empty);
    button.disabled = false;
  }
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  empty();
});
