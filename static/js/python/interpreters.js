/**
 * The interpreters for Python tasks: each task gets a fresh one, which ends with it. Which wait, and what they are given before
 * their task comes, is decided in Python (pyodide_provider/browser/interpreters.py), which knows them by numbers.
 *
 * An interpreter is untrusted from the moment it gets its task: what it says is taken for one run only, and checked.
 */
import { Blobs } from '../wasi/blobs.js';
import { Broken, Fault } from '../wasi/faults.js';
import { encode, failed, written } from './ends.js';
import { Packages } from './packages.js';

/** @typedef {import('../messages.js').PythonField} PythonField */
/** @typedef {import('../messages.js').PythonOrder} PythonOrder */
/** @typedef {import('./task.js').Pieces} Pieces */
/** @typedef {{slot: number, number: number, worker: Worker | null, stopped: boolean}} Busy */
/** @typedef {{worker: Worker, ready: Promise<void>}} Spare */

const START_SECONDS = 60;
const MEMORY = 2 ** 30; // bytes, unless the task says otherwise
const MOST_MEMORY = 2 ** 32 - 2 ** 16;
const NOT_KEPT = 0;
const nothing = () => {};

export class Interpreters {
  /** By slot. @type {Map<number, Busy>} */
  #busy = new Map();
  /** By number, those that have no task yet. @type {Map<number, Spare>} */
  #spares = new Map();
  /** Pyodide's program, where somebody has it compiled. @type {WebAssembly.Module | undefined} */
  program;
  /** @type {Promise<Pieces> | undefined} */
  #pieces;
  /** @type {(slot: number, header: string, body?: Uint8Array) => void} */
  #heard = nothing;
  /** @type {(slot: number, spoiled: boolean) => void} */
  #handed = nothing;
  /** @type {(slot: number) => void} */
  #returned = nothing;
  /** @type {(number: number) => void} */
  #lost = nothing;

  /** @param {import('../messages.js').Settings} settings */
  constructor({ vendor, manifest, storage, limits }) {
    this.tasks = `${vendor}${manifest.tasks}`;
    this.pyodide = `${vendor}${manifest.pyodide}`;
    this.limits = limits;
    this.blobs = new Blobs(storage);
    this.packages = new Packages(storage.replace(/\/storage$/, '/python'));
  }

  /** @param {(slot: number, header: string, body?: Uint8Array) => void} heard */
  listen(heard) {
    this.#heard = heard;
  }

  /**
   * @param {(slot: number, spoiled: boolean) => void} handed a task has got its interpreter; spoiled: another, for that one broke
   * @param {(slot: number) => void} returned the interpreter of that slot's task has not heard of it, and waits again
   * @param {(number: number) => void} lost one that waited is gone
   */
  attend(handed, returned, lost) {
    [this.#handed, this.#returned, this.#lost] = [handed, returned, lost];
  }

  /** @param {number} number by which it is asked for later @param {string} kit JSON: what it is given beforehand, or '' */
  start(number, kit) {
    const { worker, ready } = this.#start(false);
    const spare = { worker, ready: kit ? ready.then(() => this.#equip(worker, JSON.parse(kit))) : ready };
    this.#spares.set(number, spare);
    spare.ready.catch(() => {
      worker.terminate();
      if (this.#spares.get(number) !== spare) return;
      this.#spares.delete(number);
      this.#lost(number);
    });
  }

  /** @param {number} number */
  drop(number) {
    this.#spares.get(number)?.worker.terminate();
    this.#spares.delete(number);
  }

  /** @param {number} slot */
  stop(slot) {
    const busy = this.#busy.get(slot);
    if (!busy) return;
    busy.stopped = true;
    busy.worker?.terminate();
    this.#busy.delete(slot);
  }

  /**
   * @param {number} slot @param {number} number of its interpreter, NOT_KEPT for one with the network @param {boolean} equipped
   * @param {string} header @param {Uint8Array<ArrayBuffer>} body
   */
  async post(slot, number, equipped, header, body) {
    /** @type {PythonField} */
    const field = JSON.parse(header).python;
    /** @type {Busy} */
    const busy = { slot, number, worker: null, stopped: false };
    this.#busy.set(slot, busy);
    const tell = (/** @type {string} */ said, /** @type {Uint8Array<ArrayBuffer>} */ bytes) => busy.stopped || this.#heard(slot, said, bytes);
    let end;
    try {
      end = await this.#run(field, body, busy, equipped, tell);
    } catch (error) {
      end = failed(field.key, error);
    }
    busy.worker?.terminate();
    if (this.#busy.get(slot) === busy) this.#busy.delete(slot);
    tell(end.header, end.body);
  }

  /**
   * @param {PythonField} field @param {Uint8Array<ArrayBuffer>} body @param {Busy} busy @param {boolean} equipped
   * @param {(header: string, body: Uint8Array<ArrayBuffer>) => unknown} tell
   */
  async #run(field, body, busy, equipped, tell) {
    const network = busy.number === NOT_KEPT;
    if (network) await this.#allowed();
    let spare = this.#take(busy.number);
    spare.ready.catch(nothing); // told below
    const whole = !equipped || (await spare.ready.then(() => true, () => false));
    if (!whole) spare = this.#start(false);
    const parts = await this.#parts(field, body, equipped && whole).catch((error) => {
      this.#giveBack(spare, busy, whole);
      throw error;
    });
    await spare.ready.catch((error) => {
      throw new Broken(`Python could not be started here: ${error.message}`);
    });
    if (busy.stopped) {
      spare.worker.terminate();
      throw new Broken('stopped');
    }
    busy.worker = spare.worker;
    /** @type {Partial<import('../messages.js').RunLimits> & import('../messages.js').Limits} */
    const limits = { ...this.limits, ...field.limits };
    const memory = Math.min(limits.memory || MEMORY, MOST_MEMORY);
    /** @type {PythonOrder} */
    const order = { ...field, limits: { output: limits.output, files: limits.files, memory, wall: limits.wall } };
    const ended = converse(spare.worker, order, parts, tell);
    // Only now, for it has the next one started.
    if (!network) this.#handed(busy.slot, !whole);
    return ended;
  }

  /** What a task is given, as bytes. @param {PythonField} field @param {Uint8Array<ArrayBuffer>} body @param {boolean} equipped */
  async #parts(field, body, equipped) {
    const cut = (/** @type {[number, number]} */ [offset, length]) => body.slice(offset, offset + length);
    const file = async (/** @type {import('../messages.js').FileField | undefined} */ given) =>
      given && ('blob' in given ? cut(given.blob) : this.blobs.get(given.ref));
    const refs = field.shared ?? [];
    const [pickle, rootfs, packages, ...shared] = await Promise.all([
      file(field.pickle),
      file(field.rootfs),
      this.packages.get((!equipped && field.packages) || []),
      ...refs.map((ref) => this.blobs.get(ref)),
    ]);
    return { pickle, rootfs, ...packages, shared, refs, stdin: field.stdin && cut(field.stdin) };
  }

  async #allowed() {
    const answer = await fetch(`${this.tasks}open.js`, { method: 'HEAD' }).catch(() => null);
    if (answer?.status === 403) throw new Fault('the task asks for the network, which this broker does not give to tasks');
    if (!answer?.ok) throw new Broken('the broker does not say whether tasks may use the network');
  }

  /** @param {number} number @returns {Spare} */
  #take(number) {
    const spare = this.#spares.get(number);
    this.#spares.delete(number);
    return spare ?? this.#start(number === NOT_KEPT);
  }

  /** @param {Spare} spare that was given nothing of a task yet @param {Busy} busy @param {boolean} whole whether it is the one of that number */
  #giveBack(spare, { slot, number, stopped }, whole) {
    if (stopped || !whole || number === NOT_KEPT) return spare.worker.terminate();
    this.#spares.set(number, spare);
    this.#returned(slot);
  }

  /** @param {Worker} worker that is ready @param {{packages: string[], envs: string[]}} kit */
  async #equip(worker, kit) {
    const files = await this.packages.get(kit.packages);
    const limits = { files: this.limits.files, memory: this.limits.memory || MEMORY };
    const ready = readiness(worker);
    worker.postMessage({ kit: { ...kit, limits }, parts: { refs: [], shared: [], ...files } });
    await ready;
  }

  /** @param {boolean} network @returns {Spare} */
  #start(network) {
    const worker = new Worker(`${this.tasks}${network ? 'open' : 'worker'}.js`, { name: 'python' });
    const ready = Promise.all([readiness(worker), this.#load().then((pieces) => worker.postMessage({ pieces, network }))]);
    return {
      worker,
      ready: ready.then(nothing, (error) => {
        worker.terminate();
        throw error;
      }),
    };
  }

  /** @returns {Promise<Pieces>} */
  #load() {
    this.#pieces ??= this.#fetch().catch((error) => {
      this.#pieces = undefined;
      throw error;
    });
    return this.#pieces;
  }

  async #fetch() {
    const [module, snapshot, stdlib, lock] = await Promise.all([
      this.program ?? WebAssembly.compileStreaming(fetch(`${this.pyodide}pyodide.asm.wasm`)),
      bytes(`${this.tasks}snapshot.bin`),
      bytes(`${this.pyodide}python_stdlib.zip`),
      fetch(`${this.pyodide}pyodide-lock.json`).then((answer) => answer.text()),
    ]);
    return { module, snapshot, stdlib, lock };
  }
}

/** When it says that it is ready. @param {Worker} worker @returns {Promise<void>} */
function readiness(worker) {
  return new Promise((resolve, reject) => {
    const overdue = setTimeout(() => reject(new Error(`it was not ready within ${START_SECONDS} s`)), START_SECONDS * 1000);
    worker.onmessage = ({ data }) => {
      clearTimeout(overdue);
      if (data.ready) resolve(undefined);
      else reject(new Error(String(data.failed)));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message || 'its script could not be loaded'));
    };
  });
}

/**
 * Gives an interpreter its task and hears it to the end.
 * @param {Worker} worker @param {PythonOrder} order @param {import('../messages.js').PythonParts} parts
 * @param {(header: string, body: Uint8Array<ArrayBuffer>) => unknown} tell
 * @returns {Promise<{header: string, body: Uint8Array<ArrayBuffer>}>}
 */
function converse(worker, order, parts, tell) {
  let began = performance.now();
  return new Promise((resolve) => {
    const end = (/** @type {unknown} */ said) => resolve(encode(order, said, (performance.now() - began) / 1000));
    worker.onmessage = ({ data }) => {
      if (data?.stdout instanceof Uint8Array && data.stderr instanceof Uint8Array && order.follow) {
        const { header, body } = written(order.key, data.stdout, data.stderr);
        tell(header, body);
      } else if (data?.end) end(data.end);
      else if (data?.failed !== undefined) end({ error: `Python died: ${data.failed}` });
      else if (data?.began) {
        began = performance.now();
        if (order.limits.wall !== undefined) tell(JSON.stringify({ began: order.key }), new Uint8Array(0));
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end({ error: `Python died: ${event.message || 'its worker ended'}` });
    };
    worker.postMessage({ order, parts });
  });
}

/** @param {string} url @returns {Promise<Uint8Array>} shared with all workers where that can be */
async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  const own = new Uint8Array(await response.arrayBuffer());
  if (!globalThis.crossOriginIsolated) return own;
  const shared = new Uint8Array(new SharedArrayBuffer(own.length));
  shared.set(own);
  return shared;
}
