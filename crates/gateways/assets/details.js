// The details of an entry, beside the listing: the same that its own page shows.
import { Problem, signIn } from "./api.js";
import { perform } from "./acts.js";
import { join, say } from "./format.js";
import * as listing from "./listing.js";
import { dates } from "./plain.js";
import { report } from "./report.js";
import { complain } from "./toast.js";

const pane = document.getElementById("pane");
const content = pane.querySelector("[data-part=content]");

async function fill(path) {
  let response;
  try {
    response = await fetch(`/details?path=${encodeURIComponent(path)}`, { signal: AbortSignal.timeout(30_000) });
  } catch {
    throw new Problem(0);
  }
  if (response.redirected) return signIn();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const details = page.getElementById("details");
  if (!response.ok || !details) throw new Problem(response.status, { message: page.querySelector("h1")?.textContent });
  content.replaceChildren(document.adoptNode(details));
  dates(content);
}

/** Shows an entry of this folder. */
export async function show(entry) {
  try {
    await fill(join(listing.path(), entry.name));
    if (!pane.open) pane.showModal();
  } catch (problem) {
    complain(problem, () => show(entry));
  }
}

content.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { path, version } = Object.fromEntries(new FormData(event.target));
  const button = event.submitter;
  button.disabled = true;
  const all = await perform([{ act: "restore_version", path, version }]);
  const again = () => Promise.all([listing.refresh(), pane.open && fill(path).catch(complain)]);
  report(all, () => say("version_restored"), { after: again });
  await again();
  button.disabled = false;
});
pane.addEventListener("click", (event) => {
  if (event.target === pane || event.target.closest("[data-part=close]")) pane.close();
});
pane.addEventListener("close", () => listing.focus());
