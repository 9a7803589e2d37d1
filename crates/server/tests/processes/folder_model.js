// What is read of a folder against what is in it, by chance: pages are read, and read again, while others change the folder.
const [version, seed, done] = arguments;
let state = seed;
const below = (n) => {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  return Math.floor((state / 0x80000000) * n);
};

function run({ Folder, listed }, nth) {
  let sort = { by: ["name", "size"][nth % 2], down: nth % 8 > 3 };
  let order = listed(sort);
  const many = [1, 30][below(2)];
  const server = new Map();
  let puts = 0;
  const put = (entry) => server.set(entry.name, { ...entry, put: (puts += 1) });
  const size = () => below(500);
  const add = () => put({ name: `n${below(20_000)}`, kind: below(8) ? "file" : "folder", size: size() });
  for (let n = below([5000, 600][below(2)]); n > 0; n -= 1) add();
  const sorted = () => [...server.values()].sort(order);
  const list = (cursor, limit = 500) => {
    const all = sorted().filter((entry) => cursor === null || order(entry, cursor) > 0);
    const some = all.slice(0, limit);
    return { entries: some.map((entry) => ({ ...entry })), next: all.length > limit ? some.at(-1) : null };
  };
  const folder = new Folder(sort, list(null));
  const check = () => {
    const entries = folder.entries();
    if (new Set(entries.map(({ name }) => name)).size !== entries.length || folder.size !== entries.length) throw new Error("a name is there twice");
    for (const entry of entries) if (folder.find(entry.name) !== entry) throw new Error(`${entry.name} is not found`);
  };
  const again = (page) => {
    const before = folder.entries();
    const { cursor, limit, as } = folder.asking(page);
    folder.renew(page, list(cursor, limit), as);
    check();
    for (const entry of before) {
      if (server.get(entry.name)?.put === entry.put && !folder.find(entry.name)) throw new Error(`${entry.name} was lost, and is there`);
    }
  };
  for (let step = 0; step < 40; step += 1) {
    const what = below(6);
    if (folder.short && below(4) === 0) {
      sort = { by: ["name", "size"][below(2)], down: below(2) === 0 };
      order = listed(sort);
      folder.turn(sort);
    }
    if (what < 2) for (let n = below(40 * many); n >= 0; n -= 1) add();
    else if (what === 2) {
      const all = sorted();
      const at = below(all.length + 1);
      const gone = all.slice(at, at + below(40 * many)).map(({ name }) => name);
      for (const name of gone) server.delete(name);
      if (below(2)) folder.forget(gone);
    } else if (what === 3) {
      for (const entry of sorted()) if (below(50) === 0) put({ ...entry, size: size() });
    } else if (what === 4 && folder.next !== null) folder.append(list(folder.next));
    else {
      folder.outdate();
      const at = below(folder.entries().length + 1);
      for (let n = 0; n < 3; n += 1) {
        const page = folder.due(folder.entries().slice(at, at + 90));
        if (page) again(page);
      }
    }
    check();
  }
  // Once nobody changes it any more, all that is read again is as it is.
  folder.outdate();
  for (let reads = 0; folder.due(folder.entries()); reads += 1) {
    if (reads > 300) throw new Error("it is read again without end");
    const entries = folder.entries();
    const at = below(entries.length + 1);
    again(folder.due(entries.slice(at, at + 1)) ?? folder.due(entries));
  }
  while (folder.next !== null) folder.append(list(folder.next));
  const told = (entries) => entries.map(({ name, size }) => `${name} ${size}`).join();
  if (told(folder.entries()) !== told(sorted())) throw new Error("it is not as the server has it");
}

import(`/assets/${version}/folder.js`).then((module) => {
  for (let nth = 0; nth < 40; nth += 1) {
    const begun = state;
    try {
      run(module, nth);
    } catch (error) {
      return done(`run ${nth}, with seed ${begun}: ${error}`);
    }
  }
  return done(null);
}, (error) => done(String(error)));
