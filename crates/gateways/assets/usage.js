// How full the drive is, told anew once what is in it has changed: storage.rs tells it first.
import { call } from "./api.js";
import { api, say, size } from "./format.js";

const AFTER = 1000;
const line = document.getElementById("usage");

function tell({ bytes, quota }) {
  const bound = quota !== null;
  const part = bound ? (quota === 0 ? 100 : Math.min(100, Math.floor((bytes / quota) * 100))) : 0;
  const [words, remark] = line.querySelectorAll("span, strong");
  words.textContent = bound ? say("storage_of", { used: size(bytes), quota: size(quota) }) : say("storage_used", { used: size(bytes) });
  line.dataset.state = part === 100 ? "full" : part >= 90 ? "nearly" : "";
  remark.textContent = line.dataset.state && say(`storage_${line.dataset.state}`);
  const bar = line.querySelector("progress");
  if (bar) bar.value = part;
}

let waiting = 0;
async function look() {
  try {
    tell(await call("GET", `${api}/usage`));
  } catch {
    // It is told again with the next change, or the next page.
  }
}

// Rows that come, go or are filled anew: once for all that come together.
new MutationObserver(() => {
  clearTimeout(waiting);
  waiting = setTimeout(look, AFTER);
}).observe(document.getElementById("entries"), { childList: true, subtree: true });
