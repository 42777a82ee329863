/** The provider worker as the page sees it: started when it is needed, told what to do, heard. */

import { remember, remembered } from './settings.js';

/** @typedef {import('../messages.js').Command} Command */
/** @typedef {import('../messages.js').Report} Report */

const VENDOR = new URL('/static/vendor/', location.href).href;
const LIMITS = { output: 64 << 20, files: 512 << 20 };

export class Provider {
  /** @type {Worker | null} */
  #worker = null;
  #starts = 0;
  #build = '';
  /** @type {Report[]} */
  #untold = [];
  /** @type {(report: Report) => void} */
  #heard = (report) => void this.#untold.push(report);

  /** @param {(report: Report) => void} heard */
  listen(heard) {
    this.#heard = heard;
    this.#untold.splice(0).forEach(heard);
  }

  get running() {
    return this.#worker !== null;
  }

  /**
   * @param {import('./settings.js').Chosen} chosen
   * @param {string} engine
   * @returns {Promise<boolean>} whether it was started, and not stopped meanwhile
   * @throws {Error} in words, when what it needs can't be had
   */
  async start(chosen, engine) {
    const start = ++this.#starts;
    const manifest = told() ?? (await this.#manifest());
    if (start !== this.#starts) return false; // stopped meanwhile
    this.#build = JSON.stringify(manifest);
    const { transport, storage, workers, snapshot } = chosen;
    const pieces = `${manifest.pyodide}${manifest.provider}`;
    /** @type {import('../messages.js').Settings} */
    const settings = { transport, storage, workers, engine, vendor: VENDOR, manifest, snapshot, kept: remembered('kept') === pieces, connect: false, limits: LIMITS };
    const url = `${VENDOR}${manifest.provider}worker.js#${encodeURIComponent(JSON.stringify(settings))}`;
    const worker = (this.#worker = new Worker(url, { name: 'provider' }));
    worker.onmessage = ({ data }) => (data.type === 'kept' ? remember('kept', pieces) : this.#heard(data));
    worker.onerror = (event) => {
      event.preventDefault();
      this.#heard({ type: 'failed', reason: event.message || 'the provider’s script could not be loaded' });
    };
    return true;
  }

  /** @param {Command} command */
  send(command) {
    this.#worker?.postMessage(command);
  }

  /** Whether the server now has other files than those that were started from. */
  async outdated() {
    const manifest = await this.#manifest().catch(() => null);
    return manifest !== null && JSON.stringify(manifest) !== this.#build;
  }

  /** Ends the worker and all that runs in it. */
  stop() {
    this.#starts++;
    this.#worker?.terminate();
    this.#worker = null;
  }

  /** @returns {Promise<import('../messages.js').Manifest>} */
  async #manifest() {
    const url = `${VENDOR}manifest.json`;
    const response = await fetch(url, { cache: 'no-cache' }).catch(() => null);
    if (!response) throw new Error('the broker can’t be reached');
    if (response.status === 404) throw new Error('this server was not set up completely: “make setup” puts what the page needs into static/vendor');
    if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
    return response.json();
  }
}

/** What was built, as the page says; once, since it may have changed when Python is started again. */
function told() {
  const meta = document.querySelector('meta[name=manifest]');
  meta?.remove();
  return meta && /** @type {import('../messages.js').Manifest} */ (JSON.parse(meta.getAttribute('content') ?? ''));
}
