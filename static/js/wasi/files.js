/**
 * Files, directories and links of one run: a copy-on-write view of an unpacked rootfs.
 *
 * A directory takes its entries from the rootfs when it is first looked into, a file its bytes when it is first
 * written; so a run costs what it touches, and no run sees what another wrote. What a run writes counts against a budget.
 */
import { Inode, wasi } from '@bjorn3/browser_wasi_shim';
import { OpenDirectory, OpenFile } from './open.js';
import { Stat, Times } from './stat.js';
import { Symlink } from './tree.js';

/** @typedef {import('./tree.js').Tree} Tree */
/** @typedef {import('./tree.js').Node} Node */
/** @typedef {{budget: import('./limits.js').Budget, began: number}} Volume  what all of a run's files share */

const ENTRY_COST = 256; // what a file or directory costs us beside its bytes
const DIRECTORY_SIZE = 4096; // what file systems say
const EMPTY = new Uint8Array(0);

/** What a directory can hold. */
export class Entry extends Inode {
  links = 1;
  filetype = wasi.FILETYPE_UNKNOWN;
  fresh = false; // made, renamed or linked by the run: what is here was not here in the rootfs

  /** @param {Volume} volume @param {number} now */
  constructor(volume, now) {
    super();
    this.volume = volume;
    this.times = new Times(now);
  }

  get length() {
    return 0;
  }

  stat() {
    return Stat.of(this.ino, this.filetype, this.length, this.links, this.times);
  }

  /** @param {number} _oflags @param {bigint} _rights @param {number} _flags @returns {{ret: number, fd_obj: import('@bjorn3/browser_wasi_shim').Fd | null}} */
  path_open(_oflags, _rights, _flags) {
    return { ret: wasi.ERRNO_LOOP, fd_obj: null };
  }

  /** One name of it is gone. */
  unlinked() {
    this.links--;
    this.times.touch();
    this.volume.budget.take(-ENTRY_COST);
  }
}

/** A file whose bytes grow by doubling, and are shared with the rootfs until they are written. */
export class RunFile extends Entry {
  filetype = wasi.FILETYPE_REGULAR_FILE;
  opened = 0;
  buffer = EMPTY; // our own bytes, of which `data` is the beginning; none while the file is shared
  changed = false;

  /** @param {Uint8Array} bytes shared, never written @param {Volume} volume @param {number} now */
  constructor(bytes, volume, now) {
    super(volume, now);
    this.data = bytes;
  }

  get length() {
    return this.data.length;
  }

  /** @param {number} oflags @param {bigint} rights @param {number} flags */
  path_open(oflags, rights, flags) {
    if (oflags & wasi.OFLAGS_TRUNC) this.resize(0);
    return { ret: wasi.ERRNO_SUCCESS, fd_obj: new OpenFile(this, rights, flags) };
  }

  /**
   * Makes the file this long; what is new is zero.
   * @param {number} length
   */
  resize(length) {
    const before = this.data.length;
    this.volume.budget.take(this.changed ? length - before : length);
    if (!this.changed || length > this.buffer.length || 4 * length < this.buffer.length) {
      const larger = new Uint8Array(this.changed && length > before ? Math.max(length, 2 * before) : length);
      larger.set(this.data.subarray(0, length));
      this.buffer = larger;
    } else if (length < before) {
      this.buffer.fill(0, length, before);
    }
    this.data = this.buffer.subarray(0, length);
    this.changed = true;
    this.times.write();
  }

  /** @param {Uint8Array} bytes @param {number} at */
  write(bytes, at) {
    if (!bytes.length) return;
    const end = at + bytes.length;
    if (end > this.data.length || !this.changed) this.resize(Math.max(end, this.data.length));
    else this.times.write();
    this.data.set(bytes, at);
  }

  unlinked() {
    super.unlinked();
    this.#release();
  }

  closed() {
    this.opened--;
    this.#release();
  }

  /** What nobody can reach any more is given back. */
  #release() {
    if (this.links || this.opened || !this.changed) return;
    this.volume.budget.take(-this.data.length);
    this.data = this.buffer = EMPTY;
    this.changed = false;
  }
}

/** A symbolic link. */
export class RunLink extends Entry {
  filetype = wasi.FILETYPE_SYMBOLIC_LINK;

  /** @param {string} target @param {Volume} volume @param {number} now */
  constructor(target, volume, now) {
    super(volume, now);
    this.target = target;
  }

  get length() {
    return new TextEncoder().encode(this.target).length;
  }
}

export class RunDirectory extends Entry {
  filetype = wasi.FILETYPE_DIRECTORY;
  removed = false;

  /** @param {Tree | null} template @param {Volume} volume @param {number} now @param {RunDirectory | null} parent */
  constructor(template, volume, now, parent) {
    super(volume, now);
    /** @type {RunDirectory} */
    this.parent = parent ?? this;
    this.template = template?.size ? template : null;
    /** @type {Map<string, Entry> | null} */
    this.filled = null;
  }

  /** @returns {Map<string, Entry>} */
  get contents() {
    return (this.filled ??= this.#fill());
  }

  #fill() {
    const contents = new Map();
    if (this.template) for (const [name, node] of this.template) contents.set(name, this.#entry(node));
    return contents;
  }

  /** @param {Node} node */
  #entry(node) {
    const { volume } = this;
    if (node instanceof Map) return new RunDirectory(node, volume, volume.began, this);
    return node instanceof Symlink ? new RunLink(node.target, volume, volume.began) : new RunFile(node, volume, volume.began);
  }

  get length() {
    return DIRECTORY_SIZE;
  }

  stat() {
    let links = this.removed ? 0 : 2;
    for (const entry of this.contents.values()) if (entry instanceof RunDirectory) links++;
    return Stat.of(this.ino, this.filetype, this.length, links, this.times);
  }

  /** @param {number} _oflags @param {bigint} _rights @param {number} _flags */
  path_open(_oflags, _rights, _flags) {
    return { ret: wasi.ERRNO_SUCCESS, fd_obj: new OpenDirectory(this) };
  }

  /**
   * Puts something new under a name that is free.
   * @param {string} name @param {(now: number) => Entry} make
   */
  make(name, make) {
    this.volume.budget.take(ENTRY_COST);
    this.times.write();
    const entry = make(/** @type {number} */ (this.times.written));
    entry.fresh = true;
    this.contents.set(name, entry);
    return entry;
  }

  /** @param {string} name */
  makeFile(name) {
    const file = /** @type {RunFile} */ (this.make(name, (now) => new RunFile(EMPTY, this.volume, now)));
    file.changed = true;
    return file;
  }

  /** @param {string} name */
  makeDirectory(name) {
    return this.make(name, (now) => new RunDirectory(null, this.volume, now, this));
  }

  /** @param {string} name @param {string} target */
  makeLink(name, target) {
    return this.make(name, (now) => new RunLink(target, this.volume, now));
  }

  /** Gives something one more name. @param {string} name @param {Entry} entry */
  link(name, entry) {
    this.make(name, () => entry);
    entry.links++;
    entry.times.touch();
  }

  /** @param {string} name @param {Entry} entry  that it has */
  remove(name, entry) {
    this.contents.delete(name);
    this.times.write();
    if (entry instanceof RunDirectory) entry.removed = true;
    entry.unlinked();
  }

  /** Takes something from another directory, over what is there. @param {string} name @param {RunDirectory} from @param {string} old */
  take(name, from, old) {
    const entry = /** @type {Entry} */ (from.contents.get(old));
    const there = this.contents.get(name);
    if (there) this.remove(name, there);
    from.contents.delete(old);
    from.times.write();
    this.contents.set(name, entry);
    if (entry instanceof RunDirectory) entry.parent = this;
    entry.fresh = true;
    this.times.write();
    entry.times.touch();
  }
}
