/** What a run leaves behind: the asked-for paths of its root, packed. */
import { Directory } from '@bjorn3/browser_wasi_shim';
import { Fault } from './faults.js';
import { RunFile, walk } from './files.js';
import { pack } from './zip.js';

const MAX_DEPTH = 256;

/**
 * @param {Directory} root
 * @param {string[]} paths as asked for; a directory brings everything below it
 * @returns {{zip: Uint8Array, missing: string[]}}
 */
export function collect(root, paths) {
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const missing = [];
  for (const path of paths) {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    const inode = parts.includes('..') ? null : walk(root, parts);
    if (inode) add(files, parts.join('/'), inode, 0);
    else missing.push(path);
  }
  return { zip: pack([...files]), missing };
}

/** @param {Map<string, Uint8Array>} files @param {string} path @param {import('@bjorn3/browser_wasi_shim').Inode} inode @param {number} depth */
function add(files, path, inode, depth) {
  if (depth > MAX_DEPTH) throw new Fault(`artifacts: more than ${MAX_DEPTH} directories inside each other`);
  if (inode instanceof RunFile) {
    files.set(path, inode.data);
  } else if (inode instanceof Directory) {
    if (path) files.set(`${path}/`, new Uint8Array(0));
    for (const [name, child] of inode.contents) add(files, path ? `${path}/${name}` : name, child, depth + 1);
  }
}
