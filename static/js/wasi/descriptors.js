/** The descriptors of a run by number, given out as wasmtime does: the highest of those that were closed, else the next. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { fail } from './errno.js';
import { OpenDirectory, OpenFile } from './open.js';
import { Stream } from './streams.js';

/** @typedef {Stream | OpenFile | OpenDirectory} Descriptor */

const MAX_OPEN = 65_536;

export class Descriptors {
  /** @type {(Descriptor | undefined)[]} */
  #used;
  /** @type {number[]} ascending */
  #free = [];

  /** @param {Descriptor[]} first */
  constructor(first) {
    this.#used = first;
  }

  /** @param {number} fd @returns {Descriptor} */
  get(fd) {
    return this.#used[fd] ?? fail(wasi.ERRNO_BADF);
  }

  /** @param {number} fd @returns {OpenFile} */
  file(fd) {
    const found = this.#used[fd];
    return found instanceof OpenFile ? found : fail(wasi.ERRNO_BADF);
  }

  /** @param {number} fd @returns {OpenDirectory} */
  directory(fd) {
    const found = this.#used[fd];
    return found instanceof OpenDirectory ? found : fail(wasi.ERRNO_BADF);
  }

  /** @param {number} fd @returns {OpenFile} one that has a position */
  seekable(fd) {
    return this.#used[fd] instanceof Stream ? fail(wasi.ERRNO_SPIPE) : this.file(fd);
  }

  /** @param {Descriptor} descriptor @returns {number} */
  add(descriptor) {
    if (this.#used.length - this.#free.length >= MAX_OPEN) fail(wasi.ERRNO_NFILE);
    const fd = this.#free.pop() ?? this.#used.length;
    this.#used[fd] = descriptor;
    return fd;
  }

  /** @param {number} fd */
  close(fd) {
    this.get(fd).fd_close();
    this.#forget(fd);
  }

  /** @param {number} from @param {number} to */
  renumber(from, to) {
    const replaced = this.get(to);
    const moved = this.get(from);
    if (from === to) return;
    replaced.fd_close();
    this.#used[to] = moved;
    this.#forget(from);
  }

  /** @param {number} fd */
  #forget(fd) {
    this.#used[fd] = undefined;
    let at = this.#free.length;
    while (at > 0 && this.#free[at - 1] > fd) at--;
    this.#free.splice(at, 0, fd);
  }
}
