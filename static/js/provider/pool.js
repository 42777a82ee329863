/** The WASI workers, by slot number. Python calls start, stop and post; what slots say goes straight into Python. */

const START_SECONDS = 30;

/**
 * @typedef {object} Entry
 * @property {Worker} worker
 * @property {ReturnType<typeof setTimeout>} overdue
 */

export class Pool {
  /** @type {Map<number, Entry>} */
  #entries = new Map();
  /** @type {(slot: number, header: string, body?: Uint8Array) => void} */
  #heard = () => {};
  /** @type {(slot: number, reason: string) => void} */
  #lost = () => {};

  /** @param {string} url of the worker's script */
  constructor(url) {
    this.url = url;
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
    const worker = new Worker(this.url, { name: `slot ${slot}` });
    const overdue = setTimeout(() => this.#lose(slot, `it did not start within ${START_SECONDS} s`), START_SECONDS * 1000);
    this.#entries.set(slot, { worker, overdue });
    worker.onmessage = (event) => {
      clearTimeout(overdue);
      const [said, body] = /** @type {import('../messages.js').SlotMessage} */ (event.data);
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

  /** @param {number} slot @param {string} reason */
  #lose(slot, reason) {
    if (!this.#entries.has(slot)) return;
    this.stop(slot);
    this.#lost(slot, reason);
  }
}
