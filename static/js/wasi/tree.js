/** A rootfs in memory: directories are Maps, files are bytes, links say where to. Never written after it was made. */

/** @typedef {Map<string, Node>} Tree */
/** @typedef {Uint8Array | Symlink | Map<string, any>} Node */

const MAX_DEPTH = 256;

/** What is wrong with an archive, in words. */
export class Problem extends Error {}

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
 * @param {Uint8Array | Symlink} content
 * @throws {Problem} when the path is absolute, climbs out with "..", or goes through a file
 */
export function plant(tree, path, content) {
  if (path.startsWith('/') || path.includes('\\') || path.includes('\0') || /^[a-z]:/i.test(path)) throw unsafe(path);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw unsafe(path);
  if (parts.length > MAX_DEPTH) throw new Problem(`more than ${MAX_DEPTH} directories inside each other`);
  const name = path.endsWith('/') ? undefined : parts.pop();
  let directory = tree;
  for (const part of parts) {
    let next = directory.get(part);
    if (next === undefined) directory.set(part, (next = new Map()));
    if (!(next instanceof Map)) throw new Problem(`${JSON.stringify(path)} is a file and a directory`);
    directory = next;
  }
  if (name === undefined) return;
  if (directory.get(name) instanceof Map) throw new Problem(`${JSON.stringify(path)} is a file and a directory`);
  directory.set(name, content);
}

/**
 * Puts a tree at a path of another, over what is there; that one is changed, this one is not.
 * @param {Tree} tree @param {string} path @param {Tree} layer
 * @throws {Problem} when the path is not absolute, or has dots in it
 */
export function mount(tree, path, layer) {
  const parts = path.split('/').filter((part) => part !== '');
  if (!path.startsWith('/') || parts.includes('..') || parts.includes('.')) throw new Problem('its path is not absolute, or has dots in it');
  if (parts.length > MAX_DEPTH) throw new Problem(`more than ${MAX_DEPTH} directories inside each other`);
  let directory = tree;
  for (const part of parts) {
    const next = directory.get(part);
    const into = next instanceof Map ? next : new Map();
    directory.set(part, into);
    directory = into;
  }
  cover(directory, layer);
}

/** @param {Tree} tree @param {Tree} layer */
function cover(tree, layer) {
  for (const [name, node] of layer) {
    const there = tree.get(name);
    if (there instanceof Map && node instanceof Map) cover(there, node);
    else tree.set(name, node);
  }
}

/**
 * @param {string} path of a link in an archive @param {string} target
 * @returns {boolean} whether it stays inside, as text
 */
export function staysInside(path, target) {
  if (!target || target.startsWith('/') || /[\\\0]/.test(target)) return false;
  let depth = path.split('/').filter((part) => part !== '' && part !== '.').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth--;
    else if (part !== '' && part !== '.') depth++;
    if (depth < 0) return false;
  }
  return true;
}

/** @param {string} path */
function unsafe(path) {
  return new Problem(`the entry ${JSON.stringify(path.slice(0, 200))} leads outside of the archive`);
}
