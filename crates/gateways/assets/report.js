// What was done is told with the way back, and what was not with its reason.
import { perform } from "./acts.js";
import { api, say } from "./format.js";
import { complain, tell } from "./toast.js";

const REASONS_MAX = 3;
/** For so long the keyboard takes back what was told last: later, something else is meant. */
const BACK_MS = 60_000;
let last = null;

/**
 * Tells the outcome of acts. `words(done)` says what was done; `retry(acts)` does again what was
 * not; `after` looks again once something was taken back; `within` is the drive that it was done in.
 */
export function report(all, words, { retry, after = () => {}, within = api } = {}) {
  if (all.done.length > 0) offer(words(all.done), all.undo.length > 0 && (() => undo(all.undo, after, within)));
  complainOf(all, retry);
}

function complainOf(all, retry) {
  const reasons = new Map(all.failed.map(({ error }) => [error.message, error]));
  for (const error of [...reasons.values()].slice(0, REASONS_MAX)) {
    const failed = all.failed.filter((one) => one.error.message === error.message).map(({ act }) => act);
    complain(error, retry && (() => retry(failed)));
  }
}

/** Tells it, with the way back if there is one: taken once, and gone with the next act. */
export function offer(words, back) {
  if (!back) {
    last = null;
    tell(words);
    return;
  }
  const way = { until: Date.now() + BACK_MS };
  way.take = () => {
    // There may be a newer one by then.
    if (last === way) last = null;
    return back();
  };
  way.close = tell(words, way.take);
  last = way;
}

async function undo(acts, after, within) {
  const all = await perform(acts, { within });
  // A newer act's way back stays.
  if (all.done.length > 0) tell(say("undone"));
  complainOf(all, (failed) => undo(failed, after, within));
  await after();
}

/** Takes back what was told last, once. */
export function undoLast() {
  const way = last;
  last = null;
  if (!way || Date.now() > way.until) return tell(say("undo_nothing"));
  way.close();
  way.take();
}
