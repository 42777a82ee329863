/** What `fd_filestat_get` and `path_filestat_get` write, and the times of a file or directory. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { wallTime } from './clock.js';
import { fail } from './errno.js';

export const STAT_SIZE = 64;
const { FSTFLAGS_ATIM, FSTFLAGS_ATIM_NOW, FSTFLAGS_MTIM, FSTFLAGS_MTIM_NOW } = wasi;

/** @typedef {number | bigint} Time  in nanoseconds: a number as the clock gives it, a bigint as a program set it */

export class Times {
  /** @param {number} now */
  constructor(now) {
    /** @type {Time} */
    this.read = now;
    /** @type {Time} */
    this.written = now;
    /** @type {Time} */
    this.changed = now;
  }

  /** Its content was written. */
  write() {
    this.written = this.changed = wallTime();
  }

  /** Its name, or what else is told of it, was changed. */
  touch() {
    this.changed = wallTime();
  }

  /** It was read; told once after it was written, as file systems do. */
  access() {
    if (this.read <= this.written) this.read = wallTime();
  }

  /** @param {bigint} atim @param {bigint} mtim @param {number} flags */
  set(atim, mtim, flags) {
    this.changed = wallTime();
    if (flags & FSTFLAGS_ATIM) this.read = BigInt.asUintN(64, atim);
    if (flags & FSTFLAGS_ATIM_NOW) this.read = this.changed;
    if (flags & FSTFLAGS_MTIM) this.written = BigInt.asUintN(64, mtim);
    if (flags & FSTFLAGS_MTIM_NOW) this.written = this.changed;
  }
}

/** @param {number} flags of `*_filestat_set_times` */
export function checkTimeFlags(flags) {
  const both = (/** @type {number} */ a, /** @type {number} */ b) => (flags & a) !== 0 && (flags & b) !== 0;
  if (both(FSTFLAGS_ATIM, FSTFLAGS_ATIM_NOW) || both(FSTFLAGS_MTIM, FSTFLAGS_MTIM_NOW)) fail(wasi.ERRNO_INVAL);
}

export class Stat extends wasi.Filestat {
  nlink = 0n;

  /**
   * @param {bigint} ino @param {number} filetype @param {number} size @param {number} links @param {Times} times
   * @returns {Stat} of something in the file system
   */
  static of(ino, filetype, size, links, times) {
    const stat = new Stat(ino, filetype, BigInt(size));
    stat.dev = 1n;
    stat.nlink = BigInt(links);
    stat.atim = BigInt(times.read);
    stat.mtim = BigInt(times.written);
    stat.ctim = BigInt(times.changed);
    return stat;
  }

  /**
   * The shim writes the times at 38, 46 and 52, over the size and short of the end (WASI preview 1, `filestat`).
   * @param {DataView} view @param {number} ptr
   */
  write_bytes(view, ptr) {
    view.setBigUint64(ptr, this.dev, true);
    view.setBigUint64(ptr + 8, this.ino, true);
    view.setBigUint64(ptr + 16, BigInt(this.filetype), true);
    view.setBigUint64(ptr + 24, this.nlink, true);
    view.setBigUint64(ptr + 32, this.size, true);
    view.setBigUint64(ptr + 40, this.atim, true);
    view.setBigUint64(ptr + 48, this.mtim, true);
    view.setBigUint64(ptr + 56, this.ctim, true);
  }
}
