// What to do with a file whose name is taken: asked in the tray, once for all if so wished.
const box = document.getElementById("tray-all");
const forAll = document.getElementById("apply-to-all");

/** Items that wait for an answer. */
const asked = new Map();
/** What holds for all of them that were chosen together, by which that was. */
const standing = new Map();

function update() {
  box.hidden = asked.size < 2;
  if (box.hidden) forAll.checked = false;
}

/** Whether somebody is still to be asked. */
export const asking = () => asked.size > 0;

/** The answer for this item: `both`, `replace` or `skip`. */
export function decide(item) {
  if (standing.has(item.batch)) return Promise.resolve(standing.get(item.batch));
  return new Promise((done) => {
    asked.set(item, done);
    update();
  });
}

export function answer(item, choice) {
  if (forAll.checked) {
    for (const [one, done] of asked) {
      standing.set(one.batch, choice);
      done(choice);
    }
    asked.clear();
  } else {
    asked.get(item)?.(choice);
    asked.delete(item);
  }
  update();
}

/** This one needs no answer any more, whatever is said of others. */
export function withdraw(item) {
  asked.get(item)?.("skip");
  asked.delete(item);
  update();
}

/** An answer for all holds as long as uploads go on. */
export function settle() {
  if (asked.size === 0) standing.clear();
}
