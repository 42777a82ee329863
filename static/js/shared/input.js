/**
 * Standard input that comes while a program runs, through memory that two workers share: one appends, the other waits and reads.
 *
 * All of a run's input has room in it, so nothing is ever overwritten, and a run that is tried again reads it from the beginning.
 * The first four bytes count those that are there, and are turned round (`~`) when no more will come.
 */

const HEAD = 4; // bytes

/** @param {number} room in bytes */
export function makeInput(room) {
  return new SharedArrayBuffer(HEAD + room);
}

export class InputWriter {
  #level;
  #bytes;

  /** @param {SharedArrayBuffer} memory */
  constructor(memory) {
    this.#level = new Int32Array(memory, 0, 1);
    this.#bytes = new Uint8Array(memory, HEAD);
  }

  /** What comes after the end, or has no room, is left out. @param {Uint8Array} data @param {boolean} end */
  put(data, end) {
    const level = Atomics.load(this.#level, 0);
    if (level < 0) return;
    const fitting = data.subarray(0, this.#bytes.length - level);
    this.#bytes.set(fitting, level);
    const next = level + fitting.length;
    Atomics.store(this.#level, 0, end ? ~next : next);
    Atomics.notify(this.#level, 0);
  }
}

export class InputReader {
  #level;
  #bytes;
  #position = 0;

  /** @param {SharedArrayBuffer} memory */
  constructor(memory) {
    this.#level = new Int32Array(memory, 0, 1);
    this.#bytes = new Uint8Array(memory, HEAD);
  }

  /** Whether there is something to read, or the end. */
  get ready() {
    return Atomics.load(this.#level, 0) !== this.#position;
  }

  /** Waits for that, not longer than so many milliseconds. */
  wait(/** @type {number} */ most = Infinity) {
    Atomics.wait(this.#level, 0, this.#position, most);
  }

  /** @param {number} size @returns {Uint8Array} what is there now, as far as it fits; shared */
  read(size) {
    const level = Atomics.load(this.#level, 0);
    const data = this.#bytes.subarray(this.#position, Math.min(level < 0 ? ~level : level, this.#position + size));
    this.#position += data.length;
    return data;
  }
}
