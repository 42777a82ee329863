/** The three standard streams of a run: stdin out of bytes, stdout and stderr into bytes, within a budget. */
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { InputReader } from '../shared/input.js';
import { fail } from './errno.js';
import { fdstat } from './open.js';
import { Stat } from './stat.js';

const FIRST_CAPACITY = 256;
const TOLD_EVERY = 256 << 10; // bytes of input that were taken since that was told last
const OPEN = 1000; // ms that an input which was not given stays open for threads, from the first read
const EMPTY = new Uint8Array(0);

/** A stream says that it is nothing in particular, so that no program takes it for a terminal. */
export class Stream extends Fd {
  /** @param {number} rights */
  constructor(rights) {
    super();
    this.rights = BigInt(rights);
  }

  fd_fdstat_get() {
    return { ret: wasi.ERRNO_SUCCESS, fdstat: fdstat(wasi.FILETYPE_UNKNOWN, 0, this.rights, this.rights) };
  }

  fd_filestat_get() {
    return { ret: wasi.ERRNO_SUCCESS, filestat: new Stat(0n, wasi.FILETYPE_UNKNOWN, 0n) };
  }

  /** @param {number} _size @returns {Uint8Array} */
  read(_size) {
    return fail(wasi.ERRNO_BADF);
  }

  /** @param {Uint8Array} _data @returns {void} */
  write(_data) {
    fail(wasi.ERRNO_BADF);
  }
}

export class Input extends Stream {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    super(wasi.RIGHTS_FD_READ);
    this.rest = bytes;
  }

  /** @param {number} size */
  read(size) {
    const data = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(data.length);
    return data;
  }
}

/** Standard input that comes while the program runs: reading waits for it. */
export class LiveInput extends Stream {
  taken = 0; // bytes
  #told = 0;

  /** @param {InputReader} source @param {import('./host.js').Host} host @param {(taken: number) => void} tell  now and then, how many bytes are taken */
  constructor(source, host, tell) {
    super(wasi.RIGHTS_FD_READ);
    this.source = source;
    this.host = host;
    this.tell = tell;
  }

  /** @param {number} size */
  read(size) {
    if (size && !this.source.ready) this.wait();
    const data = this.source.take(size);
    this.taken += data.length;
    if (this.taken - this.#told >= TOLD_EVERY) this.tell((this.#told = this.taken));
    return data;
  }

  /** Until there is something to read. @param {number} [most] milliseconds */
  wait(most) {
    this.host.pause(() => {
      const began = performance.now();
      this.source.wait(most);
      return performance.now() - began;
    });
  }
}

/**
 * Standard input of a program with threads that was given none: as a terminal at which nobody types, and which is closed then.
 * Programs count on a thread that reads to leave the others their time.
 */
export class NoInput extends Stream {
  /** When its end comes, by `performance.now()`. @type {number | null} */
  #until = null;

  /** @param {() => boolean} alone whether no other thread is left that could do anything @param {import('./host.js').Host} host */
  constructor(alone, host) {
    super(wasi.RIGHTS_FD_READ);
    this.alone = alone;
    this.host = host;
  }

  /** @param {number} size */
  read(size) {
    this.#until ??= performance.now() + OPEN;
    if (size && performance.now() < this.#until && !this.alone()) this.host.pause(() => 0);
    return EMPTY;
  }
}

export class Output extends Stream {
  /** @param {import('./limits.js').Budget} budget shared by stdout and stderr */
  constructor(budget) {
    super(wasi.RIGHTS_FD_WRITE);
    this.budget = budget;
    this.buffer = EMPTY;
    this.length = 0;
    /** @type {(() => void) | null} */
    this.written = null;
  }

  get bytes() {
    return this.buffer.subarray(0, this.length);
  }

  /** @param {Uint8Array} data */
  write(data) {
    this.budget.take(data.length);
    const end = this.length + data.length;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(FIRST_CAPACITY, 2 * this.buffer.length, end));
      larger.set(this.bytes);
      this.buffer = larger;
    }
    this.buffer.set(data, this.length);
    this.length = end;
    if (this.written) this.written();
  }
}
