/** A rootfs in memory: directories are Maps, files are bytes, links say where to. Never written after it was made. */
import { Fault } from './faults.js';

/** @typedef {Map<string, Node>} Tree */
/** @typedef {Uint8Array | Symlink | Map<string, any>} Node */

const MAX_DEPTH = 256;

export class Symlink {
  /** @param {string} target */
  constructor(target) {
    this.target = target;
  }
}

/**
 * Puts a file, or an empty directory when the path ends with a slash, into a tree.
 * @param {Tree} tree
 * @param {string} path as a zip has it
 * @param {Uint8Array} bytes
 * @throws {Fault} when the path is absolute, climbs out with "..", or goes through a file
 */
export function plant(tree, path, bytes) {
  if (path.startsWith('/') || path.includes('\\') || path.includes('\0') || /^[a-z]:/i.test(path)) throw unsafe(path);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw unsafe(path);
  if (parts.length > MAX_DEPTH) throw new Fault(`rootfs: more than ${MAX_DEPTH} directories inside each other`);
  const name = path.endsWith('/') ? undefined : parts.pop();
  let directory = tree;
  for (const part of parts) {
    let next = directory.get(part);
    if (next === undefined) directory.set(part, (next = new Map()));
    if (!(next instanceof Map)) throw new Fault(`rootfs: ${JSON.stringify(path)} is a file and a directory`);
    directory = next;
  }
  if (name === undefined) return;
  if (directory.get(name) instanceof Map) throw new Fault(`rootfs: ${JSON.stringify(path)} is a file and a directory`);
  directory.set(name, bytes);
}

/** @param {string} path */
function unsafe(path) {
  return new Fault(`rootfs: the entry ${JSON.stringify(path.slice(0, 200))} leads outside of the archive`);
}
