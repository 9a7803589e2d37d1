// Uploads into a drive, by those who are signed in.
import { Problem, call } from "./api.js";
import * as conflicts from "./conflicts.js";
import { api, edits, join, say } from "./format.js";
import { whose } from "./kept.js";
import * as listing from "./listing.js";
import { queue } from "./queue.js";
import { complain } from "./toast.js";
import * as tray from "./tray.js";

const DAY = 24 * 3600 * 1000;
// What parts are kept under has room for paths of so many bytes of UTF-8.
const PATH_MAX = 900;
// Files of many parts take long to get their names.
const COMPLETE_MAX = 600_000;
const pathOf = (item) => join(item.folder, item.name);

/** An upload in parts is named together with the path that was said when it began. */
function uploadUrl({ api: within, upload, path }, rest = "") {
  return `${within}/uploads/${encodeURIComponent(upload)}${rest}?path=${encodeURIComponent(path)}`;
}

const drive = {
  id: api,
  edits,
  folderFirst: true,
  // The server keeps them for a week.
  keptFor: 6 * DAY,
  owner: whose,
  changed: () => listing.refresh(),
  makeFolder: (folder) => call("POST", `${api}/folder`, { body: { path: folder, parents: true } }),
  where: (item) => ({ path: pathOf(item) }),
  inParts: (item) => new TextEncoder().encode(pathOf(item)).length <= PATH_MAX,
  fileUrl(item, { condition, version, again }) {
    const query = new URLSearchParams({ path: pathOf(item), condition, version, mtime: item.file.lastModified });
    if (again) query.set("again", true);
    return `${api}/file?${query}`;
  },
  begin: (item, about) => call("POST", `${api}/uploads`, { body: { path: pathOf(item), condition: item.condition, ...about } }),
  uploaded: (kept) => call("GET", uploadUrl(kept)),
  partUrl: (kept, n) => uploadUrl(kept, `/parts/${n}`),
  abandon: (kept) => call("DELETE", uploadUrl(kept)),
  complete(kept, item) {
    const body = { path: kept.path, to: pathOf(item), condition: item.condition, mtime: kept.modified };
    return call("POST", `${kept.api}/uploads/${encodeURIComponent(kept.upload)}/complete`, { body, within: COMPLETE_MAX });
  },
  /** Fails if something is there already. */
  async look(item) {
    try {
      await call("GET", `${api}/entry?path=${encodeURIComponent(pathOf(item))}`);
    } catch (problem) {
      if (problem.kind === "not_found") return;
      throw problem;
    }
    throw new Problem(409, { kind: "exists", message: say("upload_exists") });
  },
};

export const { add, busy } = queue(drive, { ...tray, ...conflicts, complain });
