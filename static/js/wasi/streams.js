/** The three standard streams of a run: stdin out of bytes, stdout and stderr into bytes, within a budget. */
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { Stat } from './stat.js';

const FIRST_CAPACITY = 256;

/** A stream says that it is nothing in particular, so that no program takes it for a terminal. */
class Stream extends Fd {
  /** @param {number} rights */
  constructor(rights) {
    super();
    this.rights = BigInt(rights);
  }

  fd_fdstat_get() {
    const fdstat = new wasi.Fdstat(wasi.FILETYPE_UNKNOWN, 0);
    fdstat.fs_rights_base = this.rights;
    return { ret: wasi.ERRNO_SUCCESS, fdstat };
  }

  fd_filestat_get() {
    return { ret: wasi.ERRNO_SUCCESS, filestat: new Stat(0n, wasi.FILETYPE_UNKNOWN, 0n) };
  }

  /** @param {bigint} _offset @param {number} _whence */
  fd_seek(_offset, _whence) {
    return { ret: wasi.ERRNO_SPIPE, offset: 0n };
  }

  fd_tell() {
    return { ret: wasi.ERRNO_SPIPE, offset: 0n };
  }
}

export class Input extends Stream {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    super(wasi.RIGHTS_FD_READ);
    this.rest = bytes;
  }

  /** @param {number} size */
  fd_read(size) {
    const data = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(data.length);
    return { ret: wasi.ERRNO_SUCCESS, data };
  }

  /** @param {Uint8Array} _data */
  fd_write(_data) {
    return { ret: wasi.ERRNO_BADF, nwritten: 0 };
  }
}

export class Output extends Stream {
  /** @param {import('./faults.js').Budget} budget shared by stdout and stderr */
  constructor(budget) {
    super(wasi.RIGHTS_FD_WRITE);
    this.budget = budget;
    this.buffer = EMPTY;
    this.length = 0;
  }

  get bytes() {
    return this.buffer.subarray(0, this.length);
  }

  /** @param {number} _size */
  fd_read(_size) {
    return { ret: wasi.ERRNO_BADF, data: EMPTY };
  }

  /** @param {Uint8Array} data */
  fd_write(data) {
    this.append(data);
    return { ret: wasi.ERRNO_SUCCESS, nwritten: data.length };
  }

  /** @param {Uint8Array} data */
  append(data) {
    this.budget.take(data.length);
    const end = this.length + data.length;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(FIRST_CAPACITY, 2 * this.buffer.length, end));
      larger.set(this.bytes);
      this.buffer = larger;
    }
    this.buffer.set(data, this.length);
    this.length = end;
  }
}

const EMPTY = new Uint8Array(0);
