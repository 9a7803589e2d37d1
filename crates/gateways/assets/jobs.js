// Copies of folders go on by themselves on the server: how far they are, and stopping them.
import { call } from "./api.js";
import { api, driveName, say } from "./format.js";
import { progress } from "./progress.js";
import { report } from "./report.js";
import { complain } from "./toast.js";

const LOOK_EVERY = 800;
const shown = new Set();
const pause = () => new Promise((done) => setTimeout(done, LOOK_EVERY));
const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Shows a job of that drive until it has ended; `after` looks again then. */
export async function follow(job, after, { api: within, name: drive } = { api, name: driveName }) {
  if (shown.has(job.id)) return;
  shown.add(job.id);
  const row = progress(async () => {
    try {
      await call("POST", `${within}/job/cancel`, { body: { id: job.id } });
    } catch (problem) {
      row.again();
      complain(problem);
    }
  });
  let now = job;
  while (now.state === "running") {
    row.say(say("copying", { name: nameOf(now.from), done: now.done, found: now.found }));
    await pause();
    try {
      now = await call("GET", `${within}/job?id=${job.id}`);
    } catch (problem) {
      // Ended long ago, or not to be asked at this moment: it goes on without us.
      if (!problem.passes) {
        now = { ...now, state: "unknown" };
      } else row.say(say("copying_unknown", { name: nameOf(now.from) }));
    }
  }
  row.gone();
  shown.delete(job.id);
  await after();
  const name = nameOf(now.from);
  if (now.state === "done") {
    const undo = [{ act: "undo_job", id: job.id }];
    report({ done: [now], failed: [], undo }, () => say("copied_to", { path: drive + now.to }), { after, within });
  } else if (now.state === "cancelled") report({ done: [now], failed: [], undo: [] }, () => say("copy_cancelled", { name }));
  else if (now.state === "failed") complain({ message: say("copy_failed", { name, why: now.problem ?? "" }), action: "" });
  else complain({ message: say("copy_unknown", { name }), action: "" });
}

/** Those that were under way when the page was opened. */
export async function followAll(after) {
  try {
    const { jobs } = await call("GET", `${api}/jobs`);
    for (const job of jobs.filter((one) => one.state === "running")) follow(job, after);
  } catch {
    // The listing says already that nothing answers.
  }
}
