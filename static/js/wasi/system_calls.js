/** The calls of WASI preview 1 about the process: arguments, environment, clocks, random numbers, its end. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { steadyTime, wallTime } from './clock.js';
import { checkEnum, fail } from './errno.js';
import { encodeAll, isShared } from './guest.js';

/** @typedef {import('./host.js').Host} Host */

const RESOLUTION = 1n; // what wasmtime says; browsers round further
const MAX_RANDOM = 65_536; // bytes that `crypto.getRandomValues` gives at a time
const SIGNALS = 31;

/** Ends a program, from within `proc_exit`. Not an Error: a stack trace costs more than a short program. */
export class Exit {
  /** @param {number} code */
  constructor(code) {
    this.code = code;
  }
}

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
export function systemCalls(host) {
  const { guest } = host;
  /** @param {string[]} strings @param {number} count @param {number} size */
  const sizes = (strings, count, size) => {
    const total = encodeAll(strings).reduce((sum, string) => sum + string.length + 1, 0);
    guest.setU32(count, strings.length);
    guest.setU32(size, total);
  };
  /** @param {number} id */
  const checkClock = (id) => {
    checkEnum(id, 4, 'Clockid');
    if (id > wasi.CLOCKID_MONOTONIC) fail(wasi.ERRNO_BADF);
  };
  return {
    args_sizes_get: (/** @type {number} */ count, /** @type {number} */ size) => sizes(host.args, count, size),
    args_get: (/** @type {number} */ pointers, /** @type {number} */ buffer) => guest.setStrings(encodeAll(host.args), pointers, buffer),
    environ_sizes_get: (/** @type {number} */ count, /** @type {number} */ size) => sizes(host.env, count, size),
    environ_get: (/** @type {number} */ pointers, /** @type {number} */ buffer) => guest.setStrings(encodeAll(host.env), pointers, buffer),
    clock_res_get(/** @type {number} */ id, /** @type {number} */ ptr) {
      checkClock(id);
      guest.setU64(ptr, RESOLUTION);
    },
    clock_time_get(/** @type {number} */ id, /** @type {bigint} */ _precision, /** @type {number} */ ptr) {
      checkClock(id);
      guest.setU64(ptr, BigInt(id === wasi.CLOCKID_REALTIME ? wallTime() : steadyTime()));
    },
    proc_exit(/** @type {number} */ code) {
      throw new Exit(code);
    },
    proc_raise(/** @type {number} */ signal) {
      checkEnum(signal, SIGNALS, 'Signal');
      fail(wasi.ERRNO_NOTSUP);
    },
    sched_yield() {},
    random_get(/** @type {number} */ ptr, /** @type {number} */ length) {
      const room = guest.slice(ptr, length);
      for (let at = 0; at < room.length; at += MAX_RANDOM) fillRandom(room.subarray(at, at + MAX_RANDOM));
    },
  };
}

/** @param {Uint8Array} room */
function fillRandom(room) {
  if (!isShared(room)) crypto.getRandomValues(/** @type {Uint8Array<ArrayBuffer>} */ (room));
  else room.set(crypto.getRandomValues(new Uint8Array(room.length)));
}
