/** A worker's side of threads: one thread at a time, an instance of the program over the memory that all of its threads share. */
import { Stop } from '../errno.js';
import { Broken, Fault } from '../faults.js';
import { Host, trap } from '../host.js';
import { allClocks } from '../poll.js';
import { failure } from '../run.js';
import { Bell, Box } from './mailbox.js';

/** Calls that are of no descriptor: the thread does them itself. */
const OWN = new Set(['clock_res_get', 'clock_time_get', 'random_get', 'sched_yield', 'proc_raise']);

/**
 * @typedef {object} Start  a thread to be done
 * @property {WebAssembly.Module} module
 * @property {WebAssembly.Memory} memory
 * @property {{module: string, name: string}} place  where the module wants the memory
 * @property {string[]} calls  names of WASI's functions and "thread-spawn", by their numbers
 * @property {SharedArrayBuffer} bell
 * @property {number} id  0: the first one
 * @property {number} argument
 */
/** @typedef {{returned: number} | {error: string, fault: boolean} | {broken: string}} ThreadEnd  `returned`: its id */

const THREAD_TYPE = 'its wasi_thread_start function does not take two i32 and return nothing';
const START_TYPE = 'the _start function takes or returns something: the module is not a WASI command';

export class Thread {
  #host = new Host();

  /** @param {SharedArrayBuffer} box @param {() => void} ring  tells the slot's worker that it is called */
  constructor(box, ring) {
    this.box = new Box(box);
    this.ring = ring;
  }

  /** @param {Start} start @returns {ThreadEnd} */
  run(start) {
    this.#host.begin([], [], /** @type {any} */ ([]));
    this.#host.guest.attach({ memory: start.memory });
    try {
      const { exports } = new WebAssembly.Instance(start.module, this.#imports(start));
      enter(exports, start);
      return { returned: start.id };
    } catch (thrown) {
      const { error, broken } = failure(this.#host.stopped ?? thrown, start.module);
      if (broken !== undefined) return { broken };
      return { error: error ?? '', fault: (this.#host.stopped ?? thrown) instanceof Fault };
    } finally {
      this.#host.guest.detach();
    }
  }

  /** @param {Start} start @returns {WebAssembly.Imports} */
  #imports({ calls, memory, place, bell: shared }) {
    const bell = new Bell(shared, this.ring);
    /** @type {WebAssembly.ModuleImports} */
    const wasi = {};
    for (const [number, name] of calls.entries()) {
      const own = /** @type {Function} */ (this.#host.wasiImport[name]);
      wasi[name] = OWN.has(name) ? own : (/** @type {any[]} */ ...args) => (this.#host.stopped ? trap() : this.box.ask(number, args, bell));
    }
    const polls = /** @type {(...args: number[]) => number} */ (wasi.poll_oneoff);
    wasi.poll_oneoff = (/** @type {number[]} */ ...args) => this.#poll(args) ?? polls(...args);
    const { 'thread-spawn': spawn, ...preview1 } = wasi;
    const found = { wasi_snapshot_preview1: preview1, wasi: { 'thread-spawn': spawn } };
    const there = /** @type {Record<string, WebAssembly.ModuleImports>} */ (found)[place.module];
    return { ...found, [place.module]: { ...there, [place.name]: memory } };
  }

  /** Sleeps here when it waits for clocks alone. @param {number[]} args @returns {number | undefined} */
  #poll(args) {
    if (!allClocks(this.#host, args[0], args[2])) return undefined;
    this.box.sleep.fallAsleep();
    const errno = /** @type {(...args: number[]) => number} */ (this.#host.wasiImport.poll_oneoff)(...args);
    this.box.sleep.wake();
    return errno;
  }
}

/** @param {WebAssembly.Exports} exports @param {Start} start */
function enter(exports, { id, argument }) {
  const entry = /** @type {((...args: number[]) => unknown) | undefined} */ (exports.wasi_thread_start);
  if (id) {
    if (entry?.(id, argument) !== undefined) throw new Fault(THREAD_TYPE);
    return;
  }
  if (entry && entry.length !== 2) throw new Fault(THREAD_TYPE);
  const main = /** @type {() => unknown} */ (exports._start);
  if (main.length || main() !== undefined) throw new Fault(START_TYPE);
}

/** What ended a thread, as it would have been thrown here. @param {Exclude<ThreadEnd, {returned: number}>} end */
export function thrownBy(end) {
  if ('broken' in end) return new Broken(end.broken);
  return end.fault ? new Fault(end.error) : new Stop(end.error);
}
