/**
 * Standard input that comes while a program runs, through memory that two workers share: one puts, the other waits and takes.
 *
 * It is a ring. Who puts may put as much as is free, and hears from the other how much has been taken.
 */

const [NEWS, PUT, TAKEN, ENDED] = [0, 1, 2, 3]; // of 32 bits; PUT and TAKEN count bytes, and begin anew at 4 GiB
const HEAD = 16; // bytes

/** @param {number} room in bytes */
export function makeInput(room) {
  return new SharedArrayBuffer(HEAD + room);
}

/** One end of the ring. */
class End {
  at = 0; // in the ring

  /** @param {SharedArrayBuffer} memory */
  constructor(memory) {
    this.head = new Int32Array(memory, 0, HEAD / 4);
    this.bytes = new Uint8Array(memory, HEAD);
  }

  /** Bytes that are put and not taken. */
  get filled() {
    return (Atomics.load(this.head, PUT) - Atomics.load(this.head, TAKEN)) >>> 0;
  }

  /** @param {number} which of the two it counts for @param {number} count of bytes that were put or taken at `at` */
  advance(which, count) {
    this.at = (this.at + count) % this.bytes.length;
    Atomics.add(this.head, which, count);
  }
}

export class InputWriter extends End {
  /** What comes after the end, or has no room, is left out. @param {Uint8Array} data @param {boolean} end */
  put(data, end) {
    if (Atomics.load(this.head, ENDED)) return;
    const fitting = data.subarray(0, this.bytes.length - this.filled);
    const before = fitting.subarray(0, this.bytes.length - this.at);
    this.bytes.set(before, this.at);
    this.bytes.set(fitting.subarray(before.length), 0);
    this.advance(PUT, fitting.length);
    if (end) Atomics.store(this.head, ENDED, 1);
    Atomics.add(this.head, NEWS, 1);
    Atomics.notify(this.head, NEWS);
  }
}

export class InputReader extends End {
  /** Whether there is something to take, or the end. */
  get ready() {
    return this.filled > 0 || Atomics.load(this.head, ENDED) === 1;
  }

  /** Waits for that, not longer than so many milliseconds. */
  wait(/** @type {number} */ most = Infinity) {
    const news = Atomics.load(this.head, NEWS);
    if (!this.ready) Atomics.wait(this.head, NEWS, news, most);
  }

  /** @param {number} size @returns {Uint8Array} what is there now, as far as it fits and stands in one piece */
  take(size) {
    const count = Math.min(size, this.filled, this.bytes.length - this.at);
    const data = this.bytes.slice(this.at, this.at + count);
    this.advance(TAKEN, count);
    return data;
  }
}
