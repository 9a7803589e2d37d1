// What was read of a folder: pages in the server's order, each from its cursor to the entry that ended it when it was first read. One
// that is out of date is read again by itself, when it is looked at; until then it shows what was there.

/** So many entries a page has; so many are asked for at most. */
export const PAGE = 500;
export const PAGE_MOST = 1000;
/** Entries that may have come into a page that is read again, without another page for them. */
const ROOM = 50;

/** Code units, in the order of the bytes of UTF-8. */
const rank = (unit) => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

function byName(left, right) {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at += 1;
  if (at === left.length || at === right.length) return left.length - right.length;
  return rank(left.charCodeAt(at)) - rank(right.charCodeAt(at));
}

/** The order in which the server lists a folder. */
export function listed({ by, down }) {
  const turn = down ? -1 : 1;
  if (by === "name") return (left, right) => turn * byName(left.name, right.name);
  return (left, right) => {
    if (left.kind !== right.kind) return left.kind === "folder" ? -1 : 1;
    return turn * (left[by] - right[by] || byName(left.name, right.name));
  };
}

export class Folder {
  /** Each with where it begins, its entries, the last that belongs to it (null: all that follow), and when it was read. */
  #pages = [];
  /** Each entry by its name; in `page` it says where it is. */
  #names = new Map();
  /** How often it was said to be out of date. */
  #outdated = 0;
  #order;

  /** Its first page, as the server answers. */
  constructor(sort, { entries, next }) {
    this.#order = listed(sort);
    /** Where the page begins that was not read yet; null at the end. */
    this.next = null;
    this.append({ entries, next });
  }

  /** What came at once is in another order from now on. */
  turn(sort) {
    this.#order = listed(sort);
  }

  /** Whether it is all there, and came at once. */
  get short() {
    return this.#pages.length === 1 && this.next === null;
  }

  get size() {
    return this.#names.size;
  }

  find(name) {
    return this.#names.get(name);
  }

  entries() {
    return this.#pages.flatMap((page) => page.entries);
  }

  /** The page that follows. Whether nothing that was there had to give way. */
  append({ entries, next }) {
    const size = this.size + entries.length;
    const page = { cursor: this.next, entries: [], end: null, read: this.#outdated };
    this.#pages.push(page);
    this.#put(page, entries);
    this.#end(page, next);
    return this.size === size;
  }

  /** All of it may have changed. */
  outdate() {
    this.#outdated += 1;
  }

  /** The page that such an entry stands in, if that was read. */
  pageOf(entry) {
    return this.#pages.find(({ end }) => end === null || this.#order(entry, end) <= 0);
  }

  /** The first page that is out of date and has one of these entries, or stands beside them without any. */
  due(near) {
    const looked = new Set(near.map((entry) => entry.page));
    if (looked.size === 0) looked.add(this.#pages[0]);
    let beside = false;
    for (const page of this.#pages) {
      beside = looked.has(page) || (beside && page.entries.length === 0);
      if (beside && this.#old(page)) return page;
    }
    return null;
  }

  /** What to ask the server for. `as` is told when the answer is there: what changes meanwhile is not in it. */
  asking(page) {
    this.#join(page);
    return { cursor: page.cursor, limit: Math.min(PAGE_MOST, Math.max(PAGE, page.entries.length) + ROOM), as: this.#outdated };
  }

  /** Takes the answer for a page that was read again. The names that are new. */
  renew(page, { entries, next }, as) {
    const at = this.#pages.indexOf(page);
    // It has been put together with another.
    if (at < 0) return [];
    const { end, entries: before } = page;
    const own = entries.filter((entry) => end === null || this.#order(entry, end) <= 0);
    const came = own.filter(({ name }) => !this.#names.has(name)).map(({ name }) => name);
    const reached = own.length < entries.length || (end !== null && own.length > 0 && this.#order(own.at(-1), end) === 0);
    page.read = as;
    let rest = [];
    if (next === null && !reached) {
      this.#drop(this.#pages.splice(at + 1));
      this.#end(page, null);
    } else if (!reached) {
      // More has come than was asked for: what may follow is another page.
      page.end = own.at(-1);
      rest = before.filter((entry) => this.#order(entry, page.end) > 0);
    }
    this.#drop([page]);
    if (next !== null && !reached) {
      const more = { cursor: next, entries: [], end, read: -1 };
      this.#pages.splice(at + 1, 0, more);
      this.#put(more, rest);
    }
    this.#put(page, own);
    return came;
  }

  /** Takes out what is known to be gone. */
  forget(names) {
    const pages = new Set();
    for (const name of names) {
      const entry = this.#names.get(name);
      if (!entry) continue;
      pages.add(entry.page);
      this.#names.delete(name);
    }
    for (const page of pages) this.#tidy(page);
  }

  #old(page) {
    return page.read < this.#outdated;
  }

  /** What is small, because much has gone, is read together with what follows. */
  #join(page) {
    for (;;) {
      const following = this.#pages[this.#pages.indexOf(page) + 1];
      if (!following || !this.#old(following) || page.entries.length + following.entries.length > PAGE) return;
      this.#pages.splice(this.#pages.indexOf(following), 1);
      page.end = following.end;
      page.entries = page.entries.concat(following.entries);
      for (const entry of following.entries) entry.page = page;
    }
  }

  /** The last page ends there. */
  #end(page, next) {
    this.next = next;
    page.end = next === null ? null : page.entries.at(-1);
  }

  #drop(pages) {
    for (const { name } of pages.flatMap((page) => page.entries)) this.#names.delete(name);
  }

  /** A page's entries. What has one of their names elsewhere was there before. */
  #put(page, entries) {
    const others = new Set(entries.map(({ name }) => this.#names.get(name)?.page));
    page.entries = entries;
    for (const entry of entries) {
      entry.page = page;
      this.#names.set(entry.name, entry);
    }
    for (const other of others) if (other && other !== page) this.#tidy(other);
  }

  #tidy(page) {
    page.entries = page.entries.filter((entry) => this.#names.get(entry.name) === entry);
  }
}
