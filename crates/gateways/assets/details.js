// The details of an entry, beside the listing: the same that its own page shows.
import { Problem, signIn } from "./api.js";
import { perform } from "./acts.js";
import "./copies.js";
import "./copy.js";
import { dates } from "./dates.js";
import { base, join, say } from "./format.js";
import * as listing from "./listing.js";
import "./plain.js";
import { report } from "./report.js";
import { complain } from "./toast.js";

const pane = document.getElementById("pane");
const content = pane.querySelector("[data-part=content]");

/** What a page of ours shows of an entry, by its address, or as the answer to a form. */
async function fill(url, form) {
  let response;
  try {
    response = await fetch(url, { method: form ? "POST" : "GET", body: form, signal: AbortSignal.timeout(30_000) });
  } catch {
    throw new Problem(0);
  }
  if (new URL(response.url).pathname === "/login") return signIn();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const details = page.getElementById("details");
  // A form that was refused comes back with the reason.
  if (!details) throw new Problem(response.status, { message: page.querySelector("h1")?.textContent });
  content.replaceChildren(document.adoptNode(details));
  dates(content);
}

const detailsOf = (path) => `${base}/details?path=${encodeURIComponent(path)}`;

async function open(url) {
  try {
    await fill(url);
    if (!pane.open) pane.showModal();
  } catch (problem) {
    complain(problem, () => open(url));
  }
}

/** Shows an entry of this folder. */
export const show = (entry) => open(detailsOf(join(listing.path(), entry.name)));

/** Links to an entry of this folder, and a form for another. */
export const share = (entry) => open(`${base}/share?path=${encodeURIComponent(join(listing.path(), entry.name))}`);

// From one to the other without leaving the listing, where uploads may be under way.
content.addEventListener("click", (event) => {
  const link = event.target.closest("a[href*='/share?'], a[href*='/details?']");
  if (!link) return;
  event.preventDefault();
  open(link.getAttribute("href"));
});

content.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { action } = event.target;
  if (new URL(action).pathname.startsWith(`${base}/share`)) {
    event.submitter.disabled = true;
    try {
      await fill(action, new URLSearchParams(new FormData(event.target)));
      pane.scrollTo(0, 0);
      // The button that was pressed is gone: to the link that is there now, or else to the first field.
      content.querySelector(".copy input, input:not([type=hidden])")?.focus({ preventScroll: true });
    } catch (problem) {
      // Whether it was done is seen by looking, not by doing it again.
      complain(problem);
    }
    event.submitter.disabled = false;
    return;
  }
  const { path, version } = Object.fromEntries(new FormData(event.target));
  const button = event.submitter;
  button.disabled = true;
  const all = await perform([{ act: "restore_version", path, version }]);
  const again = () => Promise.all([listing.refresh(), pane.open && fill(detailsOf(path)).catch(complain)]);
  report(all, () => say("version_restored"), { after: again });
  await again();
  button.disabled = false;
  // The button that was pressed is gone: to the first that brings back another.
  if (!pane.open || content.contains(document.activeElement)) return;
  (content.querySelector("form[action$='/details/restore'] button") ?? content.querySelector("a"))?.focus();
});
pane.addEventListener("click", (event) => {
  if (event.target === pane || event.target.closest("[data-part=close]")) pane.close();
});
pane.addEventListener("close", () => listing.focus());
