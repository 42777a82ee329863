/** The calls of WASI preview 1 that begin with `path_`: each resolves its paths, then does what Linux does. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { checkFlags, fail } from './errno.js';
import { RunDirectory, RunFile, RunLink } from './files.js';
import { OpenFile } from './open.js';
import { resolve } from './resolve.js';
import { checkTimeFlags, STAT_SIZE } from './stat.js';

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./resolve.js').Place} Place */

const FOLLOW = 1;
const SLASH = 47;
const READ = BigInt(wasi.RIGHTS_FD_READ);
const WRITE = BigInt(wasi.RIGHTS_FD_WRITE);
const NO_RIGHTS = ~0x3fff_ffffn;
const SYNCS = wasi.FDFLAGS_DSYNC | wasi.FDFLAGS_RSYNC | wasi.FDFLAGS_SYNC;
const NOT_WITH_DIRECTORY = wasi.OFLAGS_CREAT | wasi.OFLAGS_EXCL | wasi.OFLAGS_TRUNC;

const NAME_ITSELF = { last: false, slash: false };
const NAME_OR_SLASH = { last: false, slash: true };
const TARGET = { last: true, slash: true };

/** @param {Place} place whether a directory is named by itself, which can't be moved or removed */
const isDots = ({ name }) => name === '.' || name === '..';

/** @param {Place} place @returns {import('./files.js').Entry} what is there, as lookups want it */
function found({ entry, slash }) {
  if (!entry) return fail(wasi.ERRNO_NOENT);
  if (slash && !(entry instanceof RunDirectory)) fail(wasi.ERRNO_NOTDIR);
  return entry;
}

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
export function pathCalls(host) {
  const { guest } = host;
  /** @param {number} fd @param {number} ptr @param {number} length @param {{last: boolean, slash: boolean}} follow */
  const at = (fd, ptr, length, follow) => {
    const { dir } = host.descriptors.directory(fd);
    return resolve(dir, guest.text(ptr, length), follow);
  };
  /** Length without slashes at the end, "/" apart. @param {number} ptr @param {number} length */
  const stripped = (ptr, length) => {
    const path = guest.slice(ptr, length);
    let end = path.length;
    while (end > 1 && path[end - 1] === SLASH) end--;
    return end;
  };
  /** @param {number} flags */
  const lookup = (flags) => {
    checkFlags(flags, FOLLOW, 'Lookupflags');
    return flags ? TARGET : NAME_OR_SLASH;
  };
  return {
    path_create_directory: (/** @type {number} */ fd, /** @type {number} */ path, /** @type {number} */ length) => createDirectory(at(fd, path, length, NAME_ITSELF)),
    path_remove_directory: (/** @type {number} */ fd, /** @type {number} */ path, /** @type {number} */ length) => removeDirectory(at(fd, path, stripped(path, length), NAME_OR_SLASH)),
    path_unlink_file: (/** @type {number} */ fd, /** @type {number} */ path, /** @type {number} */ length) => unlinkFile(at(fd, path, length, NAME_OR_SLASH)),
    path_filestat_get(/** @type {number} */ fd, /** @type {number} */ flags, /** @type {number} */ path, /** @type {number} */ length, /** @type {number} */ ptr) {
      const entry = found(at(fd, path, length, lookup(flags)));
      entry.stat().write_bytes(guest.view, guest.record(ptr, STAT_SIZE));
    },
    path_filestat_set_times(/** @type {number} */ fd, /** @type {number} */ flags, /** @type {number} */ path, /** @type {number} */ length, /** @type {bigint} */ atim, /** @type {bigint} */ mtim, /** @type {number} */ set) {
      const follow = lookup(flags);
      checkFlags(set, 15, 'Fstflags');
      checkTimeFlags(set);
      found(at(fd, path, length, follow)).times.set(atim, mtim, set);
    },
    path_link(/** @type {number} */ fd, /** @type {number} */ flags, /** @type {number} */ old, /** @type {number} */ oldLength, /** @type {number} */ to, /** @type {number} */ path, /** @type {number} */ length) {
      lookup(flags);
      const target = host.descriptors.directory(to).dir;
      const { dir } = host.descriptors.directory(fd);
      const [from, name] = [guest.text(old, oldLength), guest.text(path, length)];
      if (flags) fail(wasi.ERRNO_INVAL);
      const source = beforeSlash(resolve(dir, from, NAME_OR_SLASH));
      hardLink(source, beforeSlash(resolve(target, name, NAME_OR_SLASH)));
    },
    path_rename(/** @type {number} */ fd, /** @type {number} */ old, /** @type {number} */ oldLength, /** @type {number} */ to, /** @type {number} */ path, /** @type {number} */ length) {
      const target = host.descriptors.directory(to).dir;
      const from = at(fd, old, oldLength, NAME_ITSELF);
      rename(from, resolve(target, guest.text(path, length), NAME_ITSELF));
    },
    path_symlink(/** @type {number} */ target, /** @type {number} */ targetLength, /** @type {number} */ fd, /** @type {number} */ path, /** @type {number} */ length) {
      const { dir } = host.descriptors.directory(fd);
      symlink(guest.text(target, targetLength), dir, guest.text(path, length));
    },
    path_readlink(/** @type {number} */ fd, /** @type {number} */ path, /** @type {number} */ length, /** @type {number} */ buffer, /** @type {number} */ room, /** @type {number} */ ptr) {
      const link = found(at(fd, path, length, NAME_OR_SLASH));
      if (!(link instanceof RunLink)) return fail(wasi.ERRNO_INVAL);
      const target = new TextEncoder().encode(link.target).subarray(0, room >>> 0);
      guest.slice(buffer, target.length).set(target);
      guest.setU32(ptr, target.length);
    },
    path_open(/** @type {number} */ fd, /** @type {number} */ flags, /** @type {number} */ path, /** @type {number} */ length, /** @type {number} */ oflags, /** @type {bigint} */ rights, /** @type {bigint} */ _inherited, /** @type {number} */ fdflags, /** @type {number} */ ptr) {
      const follow = lookup(flags);
      checkFlags(oflags, 15, 'Oflags');
      if (rights & NO_RIGHTS) checkFlags(1, 0, 'Rights');
      checkFlags(fdflags, 31, 'Fdflags');
      const name = guest.text(path, length);
      const base = host.descriptors.get(fd);
      if (base instanceof OpenFile) fail(wasi.ERRNO_NOTDIR);
      const { dir } = host.descriptors.directory(fd);
      guest.setU32(ptr, host.descriptors.add(open(dir, name, follow, oflags, rights, fdflags)));
    },
  };
}

/**
 * @param {RunDirectory} dir @param {string} path @param {{last: boolean, slash: boolean}} follow
 * @param {number} oflags @param {bigint} rights @param {number} fdflags
 */
function open(dir, path, follow, oflags, rights, fdflags) {
  if (fdflags & SYNCS) fail(wasi.ERRNO_NOTSUP);
  const directory = (oflags & wasi.OFLAGS_DIRECTORY) !== 0;
  if (directory && oflags & NOT_WITH_DIRECTORY) fail(wasi.ERRNO_INVAL);
  const create = (oflags & wasi.OFLAGS_CREAT) !== 0;
  const exclusive = create && (oflags & wasi.OFLAGS_EXCL) !== 0;
  const writes = create || (oflags & wasi.OFLAGS_TRUNC) !== 0 || (rights & WRITE) !== 0n;
  const reads = (rights & READ) !== 0n || (rights & WRITE) === 0n;
  const place = resolve(dir, path, create ? { last: follow.last && !exclusive, slash: false } : follow);
  let { entry } = place;
  if (create && place.slash && !isDots(place)) fail(wasi.ERRNO_ISDIR);
  if (entry && exclusive) fail(wasi.ERRNO_EXIST);
  if (!entry) {
    if (!create || place.dir.removed) return fail(wasi.ERRNO_NOENT);
    entry = place.dir.makeFile(place.name);
  }
  if (entry instanceof RunDirectory && writes) fail(wasi.ERRNO_ISDIR);
  if (entry instanceof RunFile && (directory || place.slash)) fail(wasi.ERRNO_NOTDIR);
  const { ret, fd_obj } = entry.path_open(oflags, (reads ? READ : 0n) | (writes ? WRITE : 0n), fdflags);
  return /** @type {import('./descriptors.js').Descriptor} */ (fd_obj ?? fail(ret));
}

/** @param {Place} place */
function createDirectory({ dir, name, entry }) {
  if (entry) fail(wasi.ERRNO_EXIST);
  if (dir.removed) fail(wasi.ERRNO_NOENT);
  dir.makeDirectory(name);
}

/** @param {Place} place */
function removeDirectory(place) {
  const entry = found(place);
  if (!(entry instanceof RunDirectory)) return fail(wasi.ERRNO_NOTDIR);
  if (isDots(place) || place.slash) fail(wasi.ERRNO_INVAL); // Linux would take the slash; wasmtime does not
  if (entry.contents.size) fail(wasi.ERRNO_NOTEMPTY);
  place.dir.remove(place.name, entry);
}

/** @param {Place} place */
function unlinkFile(place) {
  const entry = found(place);
  if (entry instanceof RunDirectory) fail(wasi.ERRNO_ISDIR);
  place.dir.remove(place.name, entry);
}

/** @param {Place} place @returns {Place} that one, when what is before a slash at its end is a directory */
function beforeSlash(place) {
  if (place.slash) found(place);
  return place;
}

/** @param {Place} place where something is to be made */
function checkFree(place) {
  if (place.entry) fail(wasi.ERRNO_EXIST);
  if (place.dir.removed) fail(wasi.ERRNO_NOENT);
}

/** @param {Place} old @param {Place} to */
function hardLink(old, to) {
  const entry = found(old);
  checkFree(to);
  if (entry instanceof RunDirectory) fail(wasi.ERRNO_PERM);
  to.dir.link(to.name, entry);
}

/** @param {string} target @param {RunDirectory} dir @param {string} path */
function symlink(target, dir, path) {
  if (target.startsWith('/')) fail(wasi.ERRNO_PERM);
  const place = beforeSlash(resolve(dir, path, NAME_OR_SLASH));
  if (target === '') fail(wasi.ERRNO_NOENT);
  if (target.includes('\0')) fail(wasi.ERRNO_INVAL);
  checkFree(place);
  place.dir.makeLink(place.name, target);
}

/** @param {Place} old @param {Place} to */
function rename(old, to) {
  if (isDots(old) || isDots(to)) fail(wasi.ERRNO_BUSY);
  const { entry } = old;
  if (!entry) return fail(wasi.ERRNO_NOENT);
  const isDirectory = entry instanceof RunDirectory;
  if (!isDirectory && (old.slash || to.slash)) fail(wasi.ERRNO_NOTDIR);
  if (isDirectory && isWithin(to.dir, entry)) fail(wasi.ERRNO_INVAL);
  if (to.entry && isWithin(old.dir, to.entry)) fail(wasi.ERRNO_NOTEMPTY);
  if (to.entry === entry) return;
  if (to.entry) checkReplaced(isDirectory, to.entry);
  if (to.dir.removed) fail(wasi.ERRNO_NOENT);
  to.dir.take(to.name, old.dir, old.name);
}

/** @param {boolean} byDirectory @param {import('./files.js').Entry} entry */
function checkReplaced(byDirectory, entry) {
  const isDirectory = entry instanceof RunDirectory;
  if (byDirectory && !isDirectory) fail(wasi.ERRNO_NOTDIR);
  if (!byDirectory && isDirectory) fail(wasi.ERRNO_ISDIR);
  if (isDirectory && entry.contents.size) fail(wasi.ERRNO_NOTEMPTY);
}

/** @param {RunDirectory} dir @param {import('./files.js').Entry} entry @returns {boolean} whether it is that one or below it */
function isWithin(dir, entry) {
  for (let at = dir; ; at = at.parent) {
    if (at === entry) return true;
    if (at === at.parent) return false;
  }
}
