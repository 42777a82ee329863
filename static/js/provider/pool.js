/** The WASI workers, by slot number. Python calls start, stop and post; what slots say goes straight into Python. */

import { InputWriter, makeInput } from '../shared/input.js';
import { Sleep } from '../shared/sleep.js';

const START_SECONDS = 30;

/**
 * @typedef {object} Entry
 * @property {Worker} worker
 * @property {{key: number, writer: InputWriter} | null} input of the interactive run that it does, or has done last
 * @property {Sleep | null} sleep of the run with a limit of time that began last
 * @property {ReturnType<typeof setTimeout>} overdue
 */

export class Pool {
  /** @type {Map<number, Entry>} */
  #entries = new Map();
  /** @type {(slot: number, header: string, body?: Uint8Array) => void} */
  #heard = () => {};
  /** @type {(slot: number, reason: string) => void} */
  #lost = () => {};

  /** @type {Worker[]} */
  #ready = [];

  /** @param {string} url of the worker's script @param {number} [count] of slots that will be wanted first */
  constructor(url, count = 0) {
    this.url = url;
    while (this.#ready.length < count) {
      const worker = new Worker(url, { name: 'slot' });
      worker.onerror = (event) => {
        event.preventDefault();
        this.#ready = this.#ready.filter((it) => it !== worker); // the next one tells
      };
      this.#ready.push(worker);
    }
  }

  /**
   * @param {(slot: number, header: string, body?: Uint8Array) => void} heard
   * @param {(slot: number, reason: string) => void} lost
   */
  listen(heard, lost) {
    this.#heard = heard;
    this.#lost = lost;
  }

  /** @param {number} slot @param {string} header the first message */
  start(slot, header) {
    const worker = this.#ready.shift() ?? new Worker(this.url, { name: 'slot' });
    const overdue = setTimeout(() => this.#lose(slot, `it did not start within ${START_SECONDS} s`), START_SECONDS * 1000);
    this.#entries.set(slot, { worker, input: null, sleep: null, overdue });
    worker.onmessage = (event) => {
      clearTimeout(overdue);
      const [said, body, memory] = /** @type {import('../messages.js').SlotMessage} */ (event.data);
      const entry = this.#entries.get(slot);
      if (memory && entry) entry.sleep = new Sleep(memory);
      this.#heard(slot, said, body ?? undefined);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#lose(slot, event.message || `its script could not be loaded from ${this.url}`);
    };
    worker.onmessageerror = () => this.#lose(slot, 'it sent a message that can not be read');
    worker.postMessage([header, null]);
  }

  /** Kills a worker, whatever it does. @param {number} slot */
  stop(slot) {
    const entry = this.#entries.get(slot);
    if (!entry) return;
    this.#entries.delete(slot);
    clearTimeout(entry.overdue);
    entry.worker.onmessage = entry.worker.onerror = entry.worker.onmessageerror = null;
    entry.worker.terminate();
  }

  /** @param {number} slot @param {string} header @param {Uint8Array<ArrayBuffer>} [body] */
  post(slot, header, body) {
    const worker = this.#entries.get(slot)?.worker;
    if (body) worker?.postMessage([header, body], [body.buffer]);
    else worker?.postMessage([header, null]);
  }

  /**
   * Before an interactive run: opens its standard input.
   * @param {number} slot @param {number} key of the run @param {number} room for all of it, in bytes
   */
  open(slot, key, room) {
    const entry = this.#entries.get(slot);
    if (!entry) return;
    const memory = makeInput(room);
    entry.input = { key, writer: new InputWriter(memory) };
    entry.worker.postMessage([JSON.stringify({ input: key }), null, memory]);
  }

  /** @param {number} slot @returns {number} seconds that its run, which has a limit of time, has slept so far */
  slept(slot) {
    return (this.#entries.get(slot)?.sleep?.slept ?? 0) / 1000;
  }

  /** @param {number} slot @param {number} key @param {Uint8Array} data @param {boolean} end */
  put(slot, key, data, end) {
    const input = this.#entries.get(slot)?.input;
    if (input?.key === key) input.writer.put(data, end);
  }

  /** @param {number} slot @param {string} reason */
  #lose(slot, reason) {
    if (!this.#entries.has(slot)) return;
    this.stop(slot);
    this.#lost(slot, reason);
  }
}
