/**
 * How a thread calls the slot's worker, which has the files: each thread has a box for one call, all share a bell.
 *
 * Whoever calls rings, and posts a message only when nobody is awake to hear it: a message costs more than most calls.
 */
import { Sleep, SLEEP_SIZE } from '../../shared/sleep.js';

const [ASKED, TAKEN, ANSWERED] = [1, 2, 3];
const [STATE, CALL, RESULT, WIDE, COUNT] = [0, 1, 2, 3, 4];
const ARGUMENTS = 5; // of 8 bytes
const MOST_ARGUMENTS = 9; // path_open's
const SIZE = 112; // bytes, and then those that say how long the thread has slept
const [AWAKE, RUNG] = [0, 1];

/** @typedef {number | bigint} Value */

/** One call at a time, with arguments of 32 or 64 bits. */
export class Box {
  /** @param {SharedArrayBuffer} [shared] */
  constructor(shared = new SharedArrayBuffer(SIZE + SLEEP_SIZE)) {
    this.shared = shared;
    this.fields = new Int32Array(shared);
    this.wide = new BigInt64Array(shared);
    /** Of the thread, by itself or until its call is answered: counted even if that never ends. */
    this.sleep = new Sleep(shared, SIZE);
  }

  get asked() {
    return Atomics.load(this.fields, STATE) === ASKED;
  }

  // The thread's side.

  /** @param {number} call @param {Value[]} args @param {Bell} bell @returns {number} */
  ask(call, args, bell) {
    const count = Math.min(args.length, MOST_ARGUMENTS);
    let wide = 0;
    for (let at = 0; at < count; at++) {
      const value = args[at];
      if (typeof value === 'bigint') wide |= 1 << at;
      this.wide[ARGUMENTS + at] = BigInt(value);
    }
    this.fields[CALL] = call;
    this.fields[WIDE] = wide;
    this.fields[COUNT] = count;
    Atomics.store(this.fields, STATE, ASKED);
    bell.ring();
    for (let state; (state = Atomics.load(this.fields, STATE)) !== ANSWERED; ) Atomics.wait(this.fields, STATE, state);
    return this.fields[RESULT];
  }

  // The slot's side.

  /** @returns {[number, Value[]]} the call and its arguments; it is to be answered, if ever, later or now */
  read() {
    const [wide, count] = [this.fields[WIDE], this.fields[COUNT]];
    /** @type {Value[]} */
    const args = [];
    for (let at = 0; at < Math.min(count, MOST_ARGUMENTS); at++) {
      const value = this.wide[ARGUMENTS + at];
      args.push(wide & (1 << at) ? value : Number(BigInt.asIntN(32, value)));
    }
    Atomics.store(this.fields, STATE, TAKEN);
    return [this.fields[CALL], args];
  }

  /** @param {number} result */
  answer(result) {
    if (this.sleep.asleep) this.sleep.wake();
    this.fields[RESULT] = result;
    Atomics.store(this.fields, STATE, ANSWERED);
    Atomics.notify(this.fields, STATE);
  }

  clear() {
    this.fields.fill(0);
  }
}

/** Of all threads of a run. */
export class Bell {
  /** @param {SharedArrayBuffer} [shared] @param {() => void} [post]  wakes who sleeps */
  constructor(shared = new SharedArrayBuffer(8), post = () => {}) {
    this.shared = shared;
    this.fields = new Int32Array(shared);
    this.post = post;
  }

  ring() {
    Atomics.add(this.fields, RUNG, 1);
    Atomics.notify(this.fields, RUNG);
    if (Atomics.exchange(this.fields, AWAKE, 1) === 0) this.post();
  }

  get rung() {
    return Atomics.load(this.fields, RUNG);
  }

  /** @param {number} heard how often it had rung @param {number} ms @returns {boolean} whether it rang meanwhile */
  wait(heard, ms) {
    return Atomics.wait(this.fields, RUNG, heard, ms) !== 'timed-out';
  }

  /** From here on who rings posts a message. @param {number} heard how often it had rung @returns {boolean} false when one rang before, and posted none */
  sleep(heard) {
    Atomics.store(this.fields, AWAKE, 0);
    return this.rung === heard || Atomics.exchange(this.fields, AWAKE, 1) === 1;
  }
}
