// Acts upon many entries, and what takes them back. Each has its own outcome, and only what is known to be done is said to be done.
import { call } from "./api.js";
import { api, say } from "./format.js";
import { progress } from "./progress.js";

// So many in one request: each request is short, and what is done shows.
const AT_ONCE = 50;

/**
 * Does them all, in order; more than one request's worth says how far it is, and can be stopped: then the rest is left alone.
 * `again(problem)` tells what a refusal of an act means when an earlier request's answer was lost: true if the act was carried out then.
 * `within`: the drive that they are done in. With `once`, nothing that may have been done is done again. Gives `done` and `failed`, with each act's outcome, and `undo`, in its order.
 */
export async function perform(acts, { again = () => false, once = false, within = api } = {}) {
  const all = { done: [], failed: [], undo: [] };
  const undo = [];
  let stopped = false;
  let row;
  for (let at = 0; at < acts.length && !stopped; at += AT_ONCE) {
    if (at > 0) {
      row ??= progress(() => { stopped = true; });
      row.say(say("acts_done", { done: at, count: acts.length }));
    }
    const some = acts.slice(at, at + AT_ONCE);
    let answer;
    try {
      answer = await call("POST", `${within}/batch`, { body: { acts: some }, once });
    } catch (problem) {
      const unknown = once && problem.passes && problem.status !== 503;
      for (const act of some) all.failed.push({ act, error: unknown ? { message: say("act_unknown"), action: "" } : problem });
      // Those were never sent.
      for (const act of acts.slice(at + some.length)) all.failed.push({ act, error: problem });
      break;
    }
    for (const [number, outcome] of answer.outcomes.entries()) {
      const act = some[number];
      const lost = answer.tries > 1 && outcome.error;
      if (!outcome.error || (lost && again(outcome.error))) {
        all.done.push({ act, outcome });
        undo.push(outcome.undo ?? []);
      } else {
        // An earlier try may have been carried out: then this refusal says nothing of it.
        const error = lost ? { ...outcome.error, message: say("act_unknown"), action: "" } : outcome.error;
        all.failed.push({ act, error });
      }
    }
  }
  row?.gone();
  all.undo = undo.reverse().flat();
  return all;
}
