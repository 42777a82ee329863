/** What a program holds open: files and directories, as the descriptors of one run. */
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { fail } from './errno.js';

/** @typedef {import('./files.js').RunFile} RunFile */
/** @typedef {import('./files.js').RunDirectory} RunDirectory */
/** @typedef {import('./files.js').Entry} Entry */

const ALL_RIGHTS = 0x3fff_ffffn;
const READ = BigInt(wasi.RIGHTS_FD_READ);
const WRITE = BigInt(wasi.RIGHTS_FD_WRITE);
const READDIR = BigInt(wasi.RIGHTS_FD_READDIR);
const NOT_OF_DIRECTORIES = BigInt(wasi.RIGHTS_FD_WRITE | wasi.RIGHTS_FD_SEEK | wasi.RIGHTS_FD_FILESTAT_SET_SIZE | wasi.RIGHTS_PATH_FILESTAT_SET_SIZE);
// What wasmtime says of a preopen: "a set of rights expected by many userlands".
const PREOPEN_RIGHTS = 0x07b7_fe00n;
const PREOPEN_INHERITED = 0x0ff7_ffffn;
const LAST_OFFSET = 2n ** 63n;
const NONE = new Uint8Array(0);

export class OpenFile extends Fd {
  position = 0n;

  /** @param {RunFile} file @param {bigint} rights READ, WRITE or both @param {number} flags */
  constructor(file, rights, flags) {
    super();
    this.file = file;
    this.readable = (rights & READ) !== 0n;
    this.writable = (rights & WRITE) !== 0n;
    this.flags = flags & (wasi.FDFLAGS_APPEND | wasi.FDFLAGS_NONBLOCK);
    file.opened++;
  }

  get entry() {
    return this.file;
  }

  fd_close() {
    this.file.closed();
    return wasi.ERRNO_SUCCESS;
  }

  fd_fdstat_get() {
    let rights = ALL_RIGHTS;
    if (!this.readable) rights &= ~(READ | READDIR);
    if (!this.writable) rights &= ~WRITE;
    return { ret: wasi.ERRNO_SUCCESS, fdstat: fdstat(wasi.FILETYPE_REGULAR_FILE, this.flags, rights, rights) };
  }

  /** @param {number} size @param {bigint} at @returns {Uint8Array} the file's own bytes */
  readAt(size, at) {
    if (!this.readable) fail(wasi.ERRNO_BADF);
    if (at >= LAST_OFFSET) fail(wasi.ERRNO_INVAL);
    const { data, times } = this.file;
    const from = Number(at);
    if (from >= data.length || !size) return NONE;
    times.access();
    return data.subarray(from, from + size);
  }

  /** @param {Uint8Array} bytes @param {bigint} at */
  writeAt(bytes, at) {
    if (!this.writable) fail(wasi.ERRNO_BADF);
    if (at >= LAST_OFFSET) fail(wasi.ERRNO_INVAL);
    this.file.write(bytes, this.flags & wasi.FDFLAGS_APPEND ? this.file.length : Number(at));
  }

  /** @param {number} size */
  read(size) {
    const data = this.readAt(size, this.position);
    this.position += BigInt(data.length);
    return data;
  }

  /** @param {Uint8Array} bytes */
  write(bytes) {
    this.writeAt(bytes, this.position);
    this.position = this.flags & wasi.FDFLAGS_APPEND ? BigInt(this.file.length) : this.position + BigInt(bytes.length);
  }

  /** @param {bigint} size */
  resize(size) {
    if (!this.writable || size < 0n) fail(wasi.ERRNO_INVAL);
    if (Number(size) !== this.file.length) this.file.resize(Number(size));
  }
}

export class OpenDirectory extends Fd {
  /** @type {[string, Entry][]} */
  listing = [];

  /** @param {RunDirectory} dir @param {string | null} preopen  its path for the program, if it is there from the start */
  constructor(dir, preopen = null) {
    super();
    this.dir = dir;
    this.preopen = preopen;
  }

  get entry() {
    return this.dir;
  }

  fd_fdstat_get() {
    const rights = ALL_RIGHTS & ~NOT_OF_DIRECTORIES;
    const [base, inherited] = this.preopen === null ? [rights, rights] : [PREOPEN_RIGHTS, PREOPEN_INHERITED];
    return { ret: wasi.ERRNO_SUCCESS, fdstat: fdstat(wasi.FILETYPE_DIRECTORY, 0, base, inherited) };
  }

  /**
   * One entry after the other out of one listing, so that none is missed when others are removed meanwhile.
   * @param {bigint} cookie
   */
  fd_readdir_single(cookie) {
    const at = Number(cookie);
    if (at < 2) {
      if (at === 0) this.listing = [...this.dir.contents];
      const name = at ? '..' : '.';
      return { ret: wasi.ERRNO_SUCCESS, dirent: new wasi.Dirent(cookie + 1n, this.dir.ino, name, wasi.FILETYPE_DIRECTORY) };
    }
    if (!this.listing.length) this.listing = [...this.dir.contents];
    const found = this.listing[at - 2];
    if (!found) return { ret: wasi.ERRNO_SUCCESS, dirent: null };
    const [name, { ino, filetype }] = found;
    return { ret: wasi.ERRNO_SUCCESS, dirent: new wasi.Dirent(cookie + 1n, ino, name, filetype) };
  }
}

/** @param {number} filetype @param {number} flags @param {bigint} base @param {bigint} inherited */
export function fdstat(filetype, flags, base, inherited) {
  const stat = new wasi.Fdstat(filetype, flags);
  stat.fs_rights_base = base;
  stat.fs_rights_inherited = inherited;
  return stat;
}
