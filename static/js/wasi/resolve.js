/** Where a path leads, component by component, as Linux resolves it beneath a directory: it never gets above that one. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { fail } from './errno.js';
import { RunDirectory, RunLink } from './files.js';

const MAX_HOPS = 40;
const MAX_NAME = 255; // bytes
const MAX_PATH = 4095;

/** @typedef {import('./files.js').Entry} Entry */

/**
 * @typedef {object} Place
 * @property {RunDirectory} dir  where the last component is looked for
 * @property {string} name  the last component; "." and ".." name a directory by itself
 * @property {Entry | undefined} entry  what is there
 * @property {boolean} slash  whether a slash is behind it
 */

/**
 * @param {RunDirectory} start
 * @param {string} path
 * @param {{last: boolean, slash: boolean}} follow  whether a link as the last component is followed; and with a slash behind it
 * @returns {Place}
 * @throws NOENT, NOTDIR, LOOP, NAMETOOLONG; PERM for what leads outside, INVAL for NUL in it
 */
export function resolve(start, path, follow) {
  if (path === '') fail(wasi.ERRNO_NOENT);
  if (path.length > MAX_PATH || utf8Length(path) > MAX_PATH) fail(wasi.ERRNO_NAMETOOLONG);
  if (path.includes('\0')) fail(wasi.ERRNO_INVAL);
  const left = components(path, []);
  let dir = start;
  let depth = 0;
  let hops = 0;
  for (;;) {
    const name = /** @type {string} */ (left.pop());
    const slash = left.length === 1 && left[0] === '';
    const last = slash || !left.length;
    let entry = name === '.' ? dir : name === '..' ? dir.parent : find(dir, name);
    if (name === '..' && --depth < 0) fail(wasi.ERRNO_PERM);
    if (entry instanceof RunLink && (!last || (slash ? follow.slash : follow.last))) {
      if (++hops > MAX_HOPS) fail(wasi.ERRNO_LOOP);
      components(entry.target, left);
      continue;
    }
    if (last) return { dir, name, entry, slash };
    if (!entry) fail(wasi.ERRNO_NOENT);
    if (!(entry instanceof RunDirectory)) fail(wasi.ERRNO_NOTDIR);
    if (name !== '.' && name !== '..') depth++;
    dir = entry;
  }
}

/** @param {RunDirectory} dir @param {string} name */
function find(dir, name) {
  if (name.length > MAX_NAME / 4 && utf8Length(name) > MAX_NAME) fail(wasi.ERRNO_NAMETOOLONG);
  return dir.contents.get(name);
}

/**
 * The components of a path on top of those that are left, the first one topmost; a slash at the end is an empty one below.
 * @param {string} path @param {string[]} left
 */
function components(path, left) {
  if (path.startsWith('/')) fail(wasi.ERRNO_PERM);
  if (!left.length && path.endsWith('/')) left.push('');
  const parts = path.split('/');
  for (let index = parts.length - 1; index >= 0; index--) if (parts[index] !== '') left.push(parts[index]);
  return left;
}

/** @param {string} text */
function utf8Length(text) {
  return new TextEncoder().encode(text).length;
}
