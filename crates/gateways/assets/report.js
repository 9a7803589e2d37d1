// What was done is told with the way back, and what was not with its reason.
import { perform } from "./acts.js";
import { api, say } from "./format.js";
import { complain, tell } from "./toast.js";

const REASONS_MAX = 3;
let last = null;

/**
 * Tells the outcome of acts. `words(done)` says what was done; `retry(acts)` does again what was
 * not; `after` looks again once something was taken back; `within` is the drive that it was done in.
 */
export function report(all, words, { retry, after = () => {}, within = api } = {}) {
  const back = all.undo.length > 0 ? () => undo(all.undo, after, within) : undefined;
  if (all.done.length > 0) {
    last = back ?? null;
    tell(words(all.done), back);
  }
  const reasons = new Map(all.failed.map(({ error }) => [error.message, error]));
  for (const error of [...reasons.values()].slice(0, REASONS_MAX)) {
    const failed = all.failed.filter((one) => one.error.message === error.message).map(({ act }) => act);
    complain(error, retry && (() => retry(failed)));
  }
}

async function undo(acts, after, within) {
  last = null;
  const all = await perform(acts, { within });
  report({ ...all, undo: [] }, () => say("undone"));
  await after();
}

/** Tells one thing that was done, with the way back. */
export function tellWithWayBack(words, back) {
  last = () => {
    last = null;
    return back();
  };
  tell(words, last);
}

/** Takes back what was told last, once. */
export function undoLast() {
  last?.();
}
