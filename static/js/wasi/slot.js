/** A slot: takes runs, does them in order, answers each once (docs/slot-protocol.md). Knows nothing of workers. */
import { Lru } from '../shared/lru.js';
import { Blobs } from './blobs.js';
import { Host } from './host.js';
import { Outbox } from './outbox.js';
import { Programs } from './programs.js';
import { execute, failure, starved } from './run.js';
import { unpack } from './zip.js';

/** @typedef {import('../messages.js').RunField} RunField */
/** @typedef {import('./tree.js').Tree} Tree */
/** @typedef {{run: RunField, body: Uint8Array<ArrayBuffer>}} Waiting */

const ROOTS_BYTES = 96 << 20; // in each worker; a larger one is kept alone
const PAUSES = [0, 20, 200]; // ms, before a run is tried again that found no memory
const NOTHING = new Uint8Array(0);

export class Slot {
  /** @type {Waiting[]} */
  #waiting = [];
  /** @type {Lru<Tree>} */
  #roots = new Lru(ROOTS_BYTES);
  #busy = false;

  /**
   * @param {import('../messages.js').StartField} start
   * @param {(header: string, body: Uint8Array<ArrayBuffer>) => void} send
   */
  constructor(start, send) {
    this.limits = start.limits;
    this.blobs = new Blobs(start.storage);
    this.host = new Host();
    this.programs = new Programs(this.blobs, this.host.wasiImport);
    this.outbox = new Outbox(send);
    this.pushing = Promise.resolve();
  }

  /** @param {Record<string, [number, number]>} blobs @param {Uint8Array<ArrayBuffer>} body */
  push(blobs, body) {
    for (const [ref, [offset, length]] of Object.entries(blobs)) {
      const kept = this.blobs.push(ref, body.slice(offset, offset + length)).catch(() => {}); // a wrong one is fetched when it is needed
      this.pushing = this.pushing.then(() => kept);
    }
  }

  /** @param {RunField[]} runs @param {Uint8Array<ArrayBuffer>} body */
  take(runs, body) {
    for (const run of runs) this.#waiting.push({ run, body });
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    let next;
    while ((next = this.#waiting.shift())) {
      const { run, body } = next;
      this.outbox.before(run);
      let end = this.#now(run, body) ?? (await this.#later(run, body));
      for (const pause of PAUSES) {
        if (!starved(end)) break;
        end = await this.#again(run, body, pause);
      }
      this.outbox.after(run, end, this.#waiting.length > 0);
    }
    this.#busy = false;
  }

  /**
   * Tries a run again that found no memory: what earlier runs took is given back between turns only.
   * @param {RunField} run @param {Uint8Array<ArrayBuffer>} body @param {number} pause in milliseconds
   */
  async #again(run, body, pause) {
    this.outbox.flush();
    await new Promise((resolve) => setTimeout(resolve, pause));
    return this.#later(run, body);
  }

  /**
   * Does a run whose program and files are at hand, without giving way.
   * @param {RunField} run @param {Uint8Array<ArrayBuffer>} body
   */
  #now(run, body) {
    const module = this.programs.kept(run.binary);
    const rootfs = run.rootfs ? 'ref' in run.rootfs && this.#roots.get(run.rootfs.ref) : null;
    if (!module || rootfs === false || rootfs === undefined) return undefined;
    return this.#timed(module, run, body, rootfs);
  }

  /** @param {RunField} run @param {Uint8Array<ArrayBuffer>} body */
  async #later(run, body) {
    this.outbox.flush();
    try {
      await this.pushing;
      const module = this.programs.kept(run.binary) ?? (await this.programs.load(run.binary, body));
      const rootfs = run.rootfs ? await this.#root(run.rootfs, body) : null;
      return this.#timed(module, run, body, rootfs);
    } catch (thrown) {
      return { key: run.key, seconds: 0, ...failure(thrown) };
    }
  }

  /** @param {WebAssembly.Module} module @param {RunField} run @param {Uint8Array} body @param {Tree | null} rootfs */
  #timed(module, run, body, rootfs) {
    const stdin = Array.isArray(run.stdin) ? body.subarray(run.stdin[0], run.stdin[0] + run.stdin[1]) : NOTHING;
    const began = performance.now();
    const end = execute(this.host, module, run, stdin, rootfs, this.limits);
    return { key: run.key, seconds: (performance.now() - began) / 1000, ...end };
  }

  /** @param {import('../messages.js').FileField} file @param {Uint8Array<ArrayBuffer>} body @returns {Promise<Tree>} */
  async #root(file, body) {
    if ('blob' in file) return unpack(body.subarray(file.blob[0], file.blob[0] + file.blob[1]), this.limits.files).tree;
    const kept = this.#roots.get(file.ref);
    if (kept) return kept;
    const { tree, size } = unpack(await this.blobs.get(file.ref), this.limits.files);
    this.#roots.set(file.ref, tree, size);
    return tree;
  }
}
