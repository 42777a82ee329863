/** The memory of a program as WASI reads and writes it: little endian, pointers without a sign, nothing outside of it. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { fail, Stop } from './errno.js';

const NOTHING = new DataView(new ArrayBuffer(0));
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Guest {
  /** @type {WebAssembly.Memory | null} */
  memory = null;
  #view = NOTHING;
  #bytes = new Uint8Array(NOTHING.buffer);

  /** @param {WebAssembly.Exports} exports @returns {WebAssembly.Memory | null} what it has of it */
  attach({ memory }) {
    this.memory = memory instanceof WebAssembly.Memory ? memory : null;
    this.#view = NOTHING;
    return this.memory;
  }

  /** Lets go of the memory, which may be large. */
  detach() {
    this.memory = null;
    this.#view = NOTHING;
    this.#bytes = new Uint8Array(NOTHING.buffer);
  }

  /** The memory as it is now: growing it gives it a new buffer. */
  get view() {
    const { buffer } = /** @type {WebAssembly.Memory} */ (this.memory);
    if (this.#view.buffer !== buffer) {
      this.#view = new DataView(buffer);
      this.#bytes = new Uint8Array(buffer);
    }
    return this.#view;
  }

  /** @param {number} ptr @param {number} length @param {number} align @returns {number} the pointer, unsigned */
  #check(ptr, length, align) {
    const at = ptr >>> 0;
    if (at + length > this.view.byteLength) throw outside();
    if (at % align) throw new Stop(`Pointer not aligned to ${align}: Region { start: ${at}, len: ${length} }`);
    return at;
  }

  /** @param {number} ptr */
  u8(ptr) {
    return this.view.getUint8(this.#check(ptr, 1, 1));
  }

  /** @param {number} ptr */
  u16(ptr) {
    return this.view.getUint16(this.#check(ptr, 2, 2), true);
  }

  /** @param {number} ptr */
  u32(ptr) {
    return this.view.getUint32(this.#check(ptr, 4, 4), true);
  }

  /** @param {number} ptr */
  u64(ptr) {
    return this.view.getBigUint64(this.#check(ptr, 8, 8), true);
  }

  /** @param {number} ptr @param {number} value */
  setU32(ptr, value) {
    this.view.setUint32(this.#check(ptr, 4, 4), value, true);
  }

  /** @param {number} ptr @param {bigint} value */
  setU64(ptr, value) {
    this.view.setBigUint64(this.#check(ptr, 8, 8), value, true);
  }

  /**
   * A part of the memory itself, good until the program goes on.
   * @param {number} ptr @param {number} length
   */
  slice(ptr, length) {
    const at = this.#check(ptr, length >>> 0, 1);
    return this.#bytes.subarray(at, at + (length >>> 0));
  }

  /**
   * A record to be written, 8 bytes aligned.
   * @param {number} ptr @param {number} size
   */
  record(ptr, size) {
    return this.#check(ptr, size, 8);
  }

  /** @param {number} ptr @param {number} length @returns {string} a path; ILSEQ when it is no UTF-8 */
  text(ptr, length) {
    const bytes = this.slice(ptr, length);
    try {
      return decoder.decode(isShared(bytes) ? bytes.slice() : bytes);
    } catch {
      return fail(wasi.ERRNO_ILSEQ);
    }
  }

  /**
   * The first buffer of a vector that is not empty; wasmtime takes one a call, too.
   * @param {number} iovs @param {number} count
   * @returns {Uint8Array}
   */
  buffer(iovs, count) {
    this.#check(iovs, (count >>> 0) * 8, count ? 4 : 1);
    for (let at = iovs >>> 0, left = count >>> 0; left > 0; at += 8, left--) {
      const length = this.u32(at + 4);
      if (length) return this.slice(this.u32(at), length);
    }
    return EMPTY;
  }

  /**
   * Strings, each with a zero behind it, and pointers to them.
   * @param {Uint8Array[]} strings @param {number} pointers @param {number} buffer
   */
  setStrings(strings, pointers, buffer) {
    let [at, to] = [pointers >>> 0, buffer >>> 0];
    for (const string of strings) {
      this.setU32(at, to);
      const room = this.slice(to, string.length + 1);
      room.set(string);
      room[string.length] = 0;
      at += 4;
      to += string.length + 1;
    }
  }
}

/** @param {string[]} strings */
export function encodeAll(strings) {
  return strings.map((string) => encoder.encode(string));
}

/** @param {Uint8Array} bytes */
export function isShared(bytes) {
  return !(bytes.buffer instanceof ArrayBuffer);
}

function outside() {
  return new Stop('out of bounds memory access: a pointer given to WASI is outside of the memory');
}

const EMPTY = new Uint8Array(0);
