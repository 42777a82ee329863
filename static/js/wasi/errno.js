/** How a call of WASI fails: with an errno that the program gets, or by stopping the program, as wasmtime does. */

/** Thrown by a call, returned to the program. Not an Error: a stack trace costs more than the call. */
export class Errno {
  /** @param {number} code */
  constructor(code) {
    this.code = code;
  }
}

/** Thrown when a program calls WASI in a way that has no errno; it ends the program. */
export class Stop {
  /** @param {string} message */
  constructor(message) {
    this.message = message;
  }
}

const ERRNOS = Array.from({ length: 77 }, (_, code) => Object.freeze(new Errno(code)));

/** @param {number} code @returns {never} */
export function fail(code) {
  throw ERRNOS[code];
}

/**
 * Bits given as a parameter; those that nobody knows stop the program.
 * @param {number} value @param {number} known @param {string} name of the type, as WASI's witx has it
 */
export function checkFlags(value, known, name) {
  if (value & ~known) throw new Stop(`Invalid flag value ${name}`);
}

/** @param {number} value @param {number} count  of those that there are, from 0 @param {string} name */
export function checkEnum(value, count, name) {
  if (value >>> 0 >= count) throw new Stop(`Invalid enum value ${name}`);
}
