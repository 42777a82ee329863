/**
 * Files and directories of one run, over the shim's: a copy-on-write view of an unpacked rootfs.
 *
 * A directory takes its entries from the rootfs when it is first looked into, a file its bytes when it is first
 * written; so a run costs what it touches, and no run sees what another wrote. What a run writes counts against a budget.
 */
import { Directory, File, OpenDirectory, OpenFile, wasi } from '@bjorn3/browser_wasi_shim';
import { Stat } from './stat.js';

/** @typedef {import('./faults.js').Budget} Budget */
/** @typedef {import('./tree.js').Tree} Tree */

const ENTRY_COST = 256; // what a file or directory costs us beside its bytes
const EMPTY = new Uint8Array(0);

/** A file whose bytes grow by doubling, and are shared with the rootfs until they are written. */
export class RunFile extends File {
  /** @param {Uint8Array} bytes shared, never written @param {Budget} budget */
  constructor(bytes, budget) {
    super(EMPTY);
    this.data = bytes;
    this.budget = budget;
    this.buffer = EMPTY; // our own bytes, of which `data` is the beginning; none while the file is shared
    this.changed = false;
  }

  stat() {
    return new Stat(this.ino, wasi.FILETYPE_REGULAR_FILE, this.size);
  }

  /** @param {number} oflags @param {bigint} rights @param {number} flags */
  path_open(oflags, rights, flags) {
    if (oflags & wasi.OFLAGS_TRUNC) this.resize(0);
    const open = new RunOpenFile(this);
    if (flags & wasi.FDFLAGS_APPEND) open.fd_seek(0n, wasi.WHENCE_END);
    return { ret: wasi.ERRNO_SUCCESS, fd_obj: open };
  }

  /**
   * Makes the file this long; what is new is zero.
   * @param {number} length
   */
  resize(length) {
    const before = this.data.length;
    this.budget.take(this.changed ? length - before : length);
    if (!this.changed || length > this.buffer.length || 4 * length < this.buffer.length) {
      const larger = new Uint8Array(this.changed && length > before ? Math.max(length, 2 * before) : length);
      larger.set(this.data.subarray(0, length));
      this.buffer = larger;
    } else if (length < before) {
      this.buffer.fill(0, length, before);
    }
    this.data = this.buffer.subarray(0, length);
    this.changed = true;
  }

  /** @param {Uint8Array} bytes @param {number} at */
  write(bytes, at) {
    const end = at + bytes.length;
    if (end > this.data.length || !this.changed) this.resize(Math.max(end, this.data.length));
    this.data.set(bytes, at);
  }
}

class RunOpenFile extends OpenFile {
  /** @param {RunFile} file */
  constructor(file) {
    super(file);
    this.run = file;
  }

  /** @param {bigint} offset @param {bigint} length */
  fd_allocate(offset, length) {
    if (offset < 0n || length < 0n) return wasi.ERRNO_INVAL;
    const end = Number(offset + length);
    if (end > this.run.data.length) this.run.resize(end);
    return wasi.ERRNO_SUCCESS;
  }

  /** @param {bigint} size */
  fd_filestat_set_size(size) {
    if (size < 0n) return wasi.ERRNO_INVAL;
    this.run.resize(Number(size));
    return wasi.ERRNO_SUCCESS;
  }

  /** @param {number} size */
  fd_read(size) {
    const { data } = this.fd_pread(size, this.file_pos);
    this.file_pos += BigInt(data.length);
    return { ret: wasi.ERRNO_SUCCESS, data };
  }

  /** @param {number} size @param {bigint} offset */
  fd_pread(size, offset) {
    const at = Number(offset);
    if (at < 0) return { ret: wasi.ERRNO_INVAL, data: EMPTY };
    return { ret: wasi.ERRNO_SUCCESS, data: this.run.data.subarray(at, at + size) };
  }

  /** @param {Uint8Array} data */
  fd_write(data) {
    this.run.write(data, Number(this.file_pos));
    this.file_pos += BigInt(data.length);
    return { ret: wasi.ERRNO_SUCCESS, nwritten: data.length };
  }

  /** @param {Uint8Array} data @param {bigint} offset */
  fd_pwrite(data, offset) {
    if (offset < 0n) return { ret: wasi.ERRNO_INVAL, nwritten: 0 };
    this.run.write(data, Number(offset));
    return { ret: wasi.ERRNO_SUCCESS, nwritten: data.length };
  }
}

export class RunDirectory extends Directory {
  /** @param {Tree | null} template @param {Budget} budget */
  constructor(template, budget) {
    super(new Map());
    this.budget = budget;
    if (template?.size) this.#fillWhenSeen(template);
  }

  /** @param {Tree} template */
  #fillWhenSeen(template) {
    const fill = () => {
      const contents = new Map();
      for (const [name, node] of template) {
        contents.set(name, node instanceof Map ? this.#adopt(new RunDirectory(node, this.budget)) : new RunFile(node, this.budget));
      }
      Object.defineProperty(this, 'contents', { value: contents, writable: true });
      return contents;
    };
    Object.defineProperty(this, 'contents', { get: fill, configurable: true });
  }

  /** @param {RunDirectory} child */
  #adopt(child) {
    child['parent'] = this;
    return child;
  }

  stat() {
    return new Stat(this.ino, wasi.FILETYPE_DIRECTORY, 0n);
  }

  /** @param {number} _oflags @param {bigint} _rights @param {number} _flags */
  path_open(_oflags, _rights, _flags) {
    return { ret: wasi.ERRNO_SUCCESS, fd_obj: new RunOpenDirectory(this) };
  }

  /** @param {string} path @param {boolean} isDirectory */
  create_entry_for_path(path, isDirectory) {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    const name = parts.pop();
    const parent = walk(this, parts);
    if (name === undefined || name === '..' || !(parent instanceof RunDirectory)) return { ret: wasi.ERRNO_NOENT, entry: null };
    if (parent.contents.has(name)) return { ret: wasi.ERRNO_EXIST, entry: null };
    this.budget.take(ENTRY_COST);
    const entry = isDirectory ? parent.#adopt(new RunDirectory(null, this.budget)) : new RunFile(EMPTY, this.budget);
    if (entry instanceof RunFile) entry.changed = true;
    parent.contents.set(name, entry);
    return { ret: wasi.ERRNO_SUCCESS, entry };
  }
}

class RunOpenDirectory extends OpenDirectory {
  /** @type {[string, import('@bjorn3/browser_wasi_shim').Inode][] | null} */
  listing = null;

  /**
   * One entry after the other out of one listing: the shim makes a new one for each.
   * @param {bigint} cookie
   */
  fd_readdir_single(cookie) {
    if (cookie < 2n) {
      this.listing = null;
      return super.fd_readdir_single(cookie);
    }
    this.listing ??= [...this.dir.contents];
    const found = this.listing[Number(cookie) - 2];
    if (!found) return { ret: wasi.ERRNO_SUCCESS, dirent: null };
    const [name, inode] = found;
    return { ret: wasi.ERRNO_SUCCESS, dirent: new wasi.Dirent(cookie + 1n, inode.ino, name, inode.stat().filetype) };
  }
}

/** The preopen "/" of a run. */
export class Root extends RunOpenDirectory {
  /** @param {Tree | null} template  an unpacked rootfs @param {Budget} budget */
  constructor(template, budget) {
    super(new RunDirectory(template, budget));
  }

  fd_prestat_get() {
    return { ret: wasi.ERRNO_SUCCESS, prestat: wasi.Prestat.dir('/') };
  }
}

/**
 * @param {Directory} from @param {string[]} parts
 * @returns {import('@bjorn3/browser_wasi_shim').Inode | null} what is there; ".." stays inside, as text
 */
export function walk(from, parts) {
  const path = [];
  for (const part of parts) part === '..' ? path.pop() : path.push(part);
  /** @type {import('@bjorn3/browser_wasi_shim').Inode} */
  let inode = from;
  for (const part of path) {
    const next = inode instanceof Directory ? inode.contents.get(part) : undefined;
    if (!next) return null;
    inode = next;
  }
  return inode;
}
