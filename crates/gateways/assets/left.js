// Uploads in parts that a page left behind: they are shown, and go on once their file is chosen again; or are discarded.
import { say } from "./format.js";
import { all, free, hold, isOf } from "./kept.js";
import { ask, settle } from "./upload.js";

/** `again(item)` queues one that has its file. */
export function leftBehind(place, { show, again, drop, complain }) {
  const interrupted = new Set();
  const elsewhere = (item) => complain({ message: say("upload_elsewhere", { name: item.kept.file }) });

  /** Goes on with the file's upload into that folder, if one was left. */
  function goesOn(folder, file) {
    const item = [...interrupted].find((one) => one.kept.folder === folder && isOf(one.kept, file));
    // Whether something is to be replaced is asked anew: days may lie between.
    if (item) goOn(Object.assign(item, { condition: "create" }), file);
    return item !== undefined;
  }

  /** The file of one that was interrupted, or another. */
  function choose(item, file) {
    if (!isOf(item.kept, file)) return complain({ message: say("upload_other_file", { name: item.kept.file }) });
    goOn(item, file);
  }

  async function goOn(item, file) {
    if (!interrupted.delete(item)) return;
    if (!(await hold(item, item.kept))) {
      interrupted.add(item);
      return elsewhere(item);
    }
    // What is there may have changed since it was shown.
    Object.assign(item, { file, have: null });
    // The list may have been cleared.
    show(item);
    again(item);
  }

  async function discard(item) {
    if (!(await hold(item, item.kept))) return elsewhere(item);
    try {
      await place.abandon(item.kept);
    } catch (problem) {
      if (problem.kind !== "no_such_upload") {
        item.release?.();
        return complain(problem);
      }
    }
    interrupted.delete(item);
    settle(item);
    drop(item);
  }

  /** Shows what a page left behind, also one that is left from now on. */
  async function showAll() {
    if (!place.edits) return;
    const found = all().filter((one) => one.api === place.id);
    const owner = found.length > 0 && (await place.owner());
    for (const kept of found.filter((one) => one.owner === owner).sort((a, b) => a.at - b.at)) free(kept, () => showLeft(kept));
  }

  async function showLeft({ upload }) {
    // It may have come to its end, or gone on elsewhere, meanwhile.
    const kept = all().find((one) => one.upload === upload);
    if (!kept) return;
    const { folder, name, size, condition } = kept;
    const item = { kept, place, file: null, folder, name, size, nested: false, condition, state: "interrupted", sent: 0, base: 0, why: "" };
    try {
      if (!(await ask(item, kept)) || item.saved) return settle(item);
    } catch {
      // How much is there shows when it goes on.
    }
    interrupted.add(item);
    show(item);
  }

  return { goesOn, choose, discard, showAll };
}
