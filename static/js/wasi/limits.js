/** What a run may use: its own limits over those of the slot, and how one that was passed is told. */
import { Fault } from './faults.js';

export const MEMORY = 2 ** 32; // bytes that 32 bits can address: what a run may use when nobody says

const THREADS = 64; // at once, the first one included, when nobody says
const MOST_THREADS = 256; // whatever anybody says

/** @typedef {{output: number, files: number, memory: number, threads: number}} RunLimits */

/**
 * @param {import('../messages.js').RunField} run @param {import('../messages.js').Limits & {memory?: number}} own of the slot
 * @returns {RunLimits}
 */
export function limitsOf({ limits }, own) {
  return {
    output: limits?.output || own.output,
    files: limits?.files || own.files,
    threads: Math.min(limits?.threads || THREADS, MOST_THREADS),
    memory: Math.min(limits?.memory || own.memory || MEMORY, MEMORY),
  };
}

/** @param {number} used @param {number} limit both in bytes @param {string} stopped what happened then */
export function memoryFault(used, limit, stopped) {
  return new Fault(`memory limit exceeded: ${mebibytes(used)} of at most ${mebibytes(limit)} ${stopped}`);
}

/** @param {number} bytes */
function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** An amount of bytes that one run may use up; to use more is a fault that names the limit. */
export class Budget {
  /** @param {string} name @param {number} limit in bytes */
  constructor(name, limit) {
    this.name = name;
    this.limit = limit;
    this.used = 0;
  }

  /** @param {number} amount  negative to give back */
  take(amount) {
    this.used += amount;
    if (this.used > this.limit) throw new Fault(`${this.name} limit exceeded: more than ${this.limit} bytes`);
  }
}
