/** What a run leaves behind: the asked-for paths of its root, packed. */
import { Budget, Fault } from './faults.js';
import { RunDirectory, RunFile } from './files.js';
import { pack } from './zip.js';

const MAX_DEPTH = 256;

/**
 * @param {RunDirectory} root
 * @param {string[]} paths as asked for; a directory brings everything below it
 * @param {number} limit bytes that they may have together, unpacked
 * @returns {{zip: Uint8Array, missing: string[]}}
 * @throws {Fault} beyond the limit, or nested too deeply
 */
export function collect(root, paths, limit) {
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const budget = new Budget('artifacts: files', limit);
  const missing = [];
  for (const path of paths) {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    const inode = parts.includes('..') ? null : walk(root, parts);
    if (inode) add(files, budget, parts.join('/'), inode, 0);
    else missing.push(path);
  }
  return { zip: pack([...files]), missing };
}

/**
 * @param {Map<string, Uint8Array>} files @param {Budget} budget
 * @param {string} path @param {import('./files.js').Entry} inode @param {number} depth
 */
function add(files, budget, path, inode, depth) {
  if (depth > MAX_DEPTH) throw new Fault(`artifacts: more than ${MAX_DEPTH} directories inside each other`);
  if (inode instanceof RunFile && !files.has(path)) {
    budget.take(inode.data.length);
    files.set(path, inode.data);
  } else if (inode instanceof RunDirectory) {
    if (path) files.set(`${path}/`, NOTHING);
    for (const [name, child] of [...inode.contents].sort(byName)) add(files, budget, path ? `${path}/${name}` : name, child, depth + 1);
  }
}

/**
 * @param {RunDirectory} root @param {string[]} parts
 * @returns {import('./files.js').Entry | undefined} what is there; links are not followed
 */
function walk(root, parts) {
  /** @type {import('./files.js').Entry | undefined} */
  let entry = root;
  for (const part of parts) entry = entry instanceof RunDirectory ? entry.contents.get(part) : undefined;
  return entry;
}

/** @param {[string, unknown]} a @param {[string, unknown]} b */
function byName([a], [b]) {
  return a < b ? -1 : 1;
}

const NOTHING = new Uint8Array(0);
