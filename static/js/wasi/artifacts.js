/** What a run leaves behind: of the asked-for files, directories and patterns those that it wrote, packed. */
import { Fault } from './faults.js';
import { RunDirectory, RunFile } from './files.js';
import { isPattern, matcher } from './glob.js';
import { Budget } from './limits.js';
import { pack } from './zip.js';

/** @typedef {import('./files.js').Entry} Entry */
/** @typedef {{parts: string[], entry: Entry}} Found */

const MAX_DEPTH = 256;
const MAX_PATTERNS = 100; // each is compared with each path
const NOTHING = new Uint8Array(0);

/**
 * A file asked for by its name comes always; of a directory, or a pattern, only what the run wrote.
 * @param {RunDirectory} root
 * @param {string[]} paths as asked for
 * @param {number} limit bytes that they may have together, unpacked
 * @returns {{zip: Uint8Array, missing: string[]}}
 * @throws {Fault} beyond the limit, nested too deeply, or of too many patterns
 */
export function collect(root, paths, limit) {
  const budget = new Budget('artifacts: files', limit);
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  /** @type {Found[]} */
  const written = [];
  addWritten(written, root, [], false);
  let patterns = 0;
  const missing = paths.filter((path) => {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..')) return true;
    const entry = walk(root, parts);
    if (entry instanceof RunDirectory) {
      add(files, budget, { parts, entry });
      for (const found of written) if (parts.every((part, at) => part === found.parts[at])) add(files, budget, found);
    } else if (entry instanceof RunFile) {
      add(files, budget, { parts, entry });
    } else {
      if (!isPattern(path)) return true;
      if (++patterns > MAX_PATTERNS) throw new Fault(`artifacts: more than ${MAX_PATTERNS} patterns`);
      const matches = matcher(parts);
      const matching = written.filter((found) => matches(found.parts));
      for (const found of matching) add(files, budget, found);
      return !matching.length;
    }
    return false;
  });
  return { zip: pack([...files]), missing };
}

/**
 * New and modified files, and new directories; all that is below one that was moved is new where it is now.
 * @param {Found[]} written @param {RunDirectory} directory @param {string[]} path @param {boolean} moved
 */
function addWritten(written, directory, path, moved) {
  if (path.length > MAX_DEPTH) throw new Fault(`artifacts: more than ${MAX_DEPTH} directories inside each other`);
  if (!directory.filled && !moved) return;
  for (const [name, entry] of [...directory.contents].sort(byName)) {
    const parts = [...path, name];
    const fresh = moved || entry.fresh;
    if (entry instanceof RunDirectory) {
      if (fresh) written.push({ parts, entry });
      addWritten(written, entry, parts, fresh);
    } else if (entry instanceof RunFile && (fresh || entry.times.changed !== entry.volume.began)) {
      written.push({ parts, entry });
    }
  }
}

/** @param {Map<string, Uint8Array>} files @param {Budget} budget @param {Found} found */
function add(files, budget, { parts, entry }) {
  const path = entry instanceof RunFile ? parts.join('/') : `${parts.join('/')}/`;
  if (path === '/' || files.has(path)) return;
  const bytes = entry instanceof RunFile ? entry.data : NOTHING;
  budget.take(bytes.length);
  files.set(path, bytes);
}

/**
 * @param {RunDirectory} root @param {string[]} parts
 * @returns {Entry | undefined} what is there; links are not followed
 */
function walk(root, parts) {
  /** @type {Entry | undefined} */
  let entry = root;
  for (const part of parts) entry = entry instanceof RunDirectory ? entry.contents.get(part) : undefined;
  return entry;
}

/** @param {[string, unknown]} a @param {[string, unknown]} b */
function byName([a], [b]) {
  return a < b ? -1 : 1;
}
