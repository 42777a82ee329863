/** WASI preview 1 for the programs of one worker, one at a time: the shim's host with all of its imports replaced; and preview 0. */
import { WASI } from '@bjorn3/browser_wasi_shim';
import { Descriptors } from './descriptors.js';
import { Errno } from './errno.js';
import { Fault } from './faults.js';
import { fdCalls } from './fd_calls.js';
import { Sleep } from '../shared/sleep.js';
import { Guest } from './guest.js';
import { pathCalls } from './path_calls.js';
import { pollCalls } from './poll.js';
import { systemCalls } from './system_calls.js';
import { unstableCalls } from './unstable.js';

export class Host extends WASI {
  guest = new Guest();
  slept = 0; // milliseconds that the program has slept
  /** The same for others to see while it sleeps; null where workers share nothing. */
  sleep = typeof SharedArrayBuffer === 'function' ? new Sleep() : null;
  /** What ended the program. Its `catch_all` may have caught it: then no call does anything any more. @type {unknown} */
  stopped = null;
  /** Since when a call that is made once more has waited, by the steady clock in ns. @type {number | null} */
  asOf = null;
  /** Called before a call waits; what it throws is thrown instead. @type {(() => void) | null} */
  pausing = null;
  /** @type {import('./streams.js').Stream | null} */
  stdin = null;
  descriptors = new Descriptors([]);

  constructor() {
    super([], [], [], { debug: false });
    const calls = { ...fdCalls(this), ...pathCalls(this), ...pollCalls(this), ...systemCalls(this) };
    Object.assign(this.wasiImport, allGuarded(this, calls));
    /** What programs may import, by module. @type {Record<string, Record<string, unknown>>} */
    this.imports = { wasi_snapshot_preview1: this.wasiImport, wasi_unstable: allGuarded(this, unstableCalls(this, calls)) };
  }

  /**
   * Makes ready for a run.
   * @param {string[]} args argv
   * @param {string[]} envs "K=V"
   * @param {[import('./streams.js').Stream, ...import('./descriptors.js').Descriptor[]]} descriptors  stdin first
   */
  begin(args, envs, descriptors) {
    this.args = args;
    this.env = envs;
    this.stdin = descriptors[0];
    this.descriptors = new Descriptors(descriptors);
    this.slept = 0;
    this.sleep?.clear();
    this.stopped = null;
    this.pausing = null;
    this.guest.detach();
  }

  /** Waits, within a call. @param {() => number} wait gives the milliseconds in which the processor was free */
  pause(wait) {
    this.pausing?.();
    this.sleep?.fallAsleep();
    this.slept += wait();
    this.sleep?.wake();
  }
}

// (module (func (export "t") unreachable))
const TRAP = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11);
/** @type {(() => void) | undefined} */
let trapper;

/** Throws what no program can catch, as it could what JavaScript throws. */
export function trap() {
  trapper ??= /** @type {() => void} */ (new WebAssembly.Instance(new WebAssembly.Module(TRAP)).exports.t);
  trapper();
}

/** @param {Host} host @param {Record<string, (...args: any[]) => number | void>} calls */
function allGuarded(host, calls) {
  return Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, guarded(host, call, name)]));
}

/**
 * A call as programs import it: the errno is what it returns.
 * @param {Host} host @param {(...args: any[]) => number | void} call @param {string} name
 */
function guarded(host, call, name) {
  return (/** @type {any[]} */ ...args) => {
    if (host.stopped) trap();
    try {
      if (!host.guest.memory && name !== 'proc_exit') throw new Fault('the module exports no memory');
      return call(...args) ?? 0;
    } catch (thrown) {
      if (thrown instanceof Errno) return thrown.code;
      throw (host.stopped = thrown);
    }
  };
}
