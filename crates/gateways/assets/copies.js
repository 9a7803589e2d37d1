// "Verify now" in the details of a file: part after part, each read by all machines that have it.
import { call } from "./api.js";
import { api, date, fullDate, say } from "./format.js";

/** Parts taken together: the worst counts. */
function and(all, part) {
  if (!all) return part;
  const nodes = new Map(all.nodes.map((node) => [node.node, { ...node }]));
  for (const node of part.nodes) {
    const before = nodes.get(node.node) ?? { damaged: 0, absent: 0, unknown: 0 };
    const sum = (what) => node[what] + before[what];
    nodes.set(node.node, { ...node, damaged: sum("damaged"), absent: sum("absent"), unknown: sum("unknown") });
  }
  return {
    ...part,
    intact: Math.min(all.intact, part.intact),
    wanted: Math.max(all.wanted, part.wanted),
    blocks: all.blocks + part.blocks,
    verified: Math.min(all.verified ?? Infinity, part.verified ?? Infinity),
    nodes: [...nodes.values()],
  };
}

/** Some machine says that it lacks what it should have. */
function lacking(nodes) {
  return nodes.some((node) => node.damaged + node.absent > 0);
}

function told({ intact, wanted, blocks, nodes }) {
  const unasked = nodes.filter((node) => node.unknown > 0).length;
  if (intact === 0 && !lacking(nodes)) return say("copies_untold");
  const words = [say(blocks ? "copies_intact" : "copies_held", { intact, wanted })];
  if (unasked === 1) words.push(say("copies_unasked_one"));
  if (unasked > 1) words.push(say("copies_unasked", { unasked }));
  const damaged = nodes.some((node) => node.damaged > 0);
  return words.join(" ") + (damaged ? ` · ${say("copies_mending")}` : "");
}

async function verify(button) {
  const place = button.closest("[data-copies]");
  const path = button.closest("[data-path]").dataset.path;
  const words = place.querySelector("[data-part=words]");
  const bar = place.querySelector("progress");
  button.disabled = true;
  bar.hidden = false;
  bar.value = 0;
  words.setAttribute("role", "status");
  try {
    let all;
    // Somebody who closes the details wants no more of it.
    for (let from = 0; from !== undefined && place.isConnected; from = all.next) {
      all = and(all, await call("POST", `${api}/copies`, { body: { path, from, version: place.dataset.copies } }));
      bar.value = (100 * all.upto) / Math.max(1, all.size);
    }
    words.textContent = told(all);
    words.classList.toggle("bad", lacking(all.nodes));
    const time = place.querySelector("[data-part=verified]");
    if (time && Number.isFinite(all.verified)) {
      time.textContent = date(all.verified);
      time.title = fullDate(all.verified);
      time.parentElement.hidden = false;
    }
  } catch (problem) {
    words.textContent = problem.kind === "changed" ? say("copies_changed") : problem.message;
    words.classList.add("bad");
  }
  bar.hidden = true;
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-verify]");
  if (button) verify(button);
});
