/** What the provider's Python gets from JavaScript: workers, a socket, timers, the page. Typed in browser/host.py. */
import { Interpreters } from '../python/interpreters.js';
import { Pool } from './pool.js';
import { Socket } from './socket.js';

/** @typedef {import('../messages.js').Report} Report */

/**
 * @param {import('../messages.js').Settings} settings
 * @param {string} protocol the WebSocket's
 * @param {(report: Report) => void} tell
 */
export function host(settings, protocol, tell) {
  return {
    pool: new Pool(`${settings.vendor}${settings.manifest.wasi}worker.js`, settings.workers),
    interpreters: new Interpreters(settings),
    socket: new Socket(settings.transport, protocol),
    timers: new Timers(),
    isolated: globalThis.crossOriginIsolated === true,
    /** Room for bytes from Python: filling it is cheaper than converting. @param {number} length */
    room: (length) => new Uint8Array(length),
    page: {
      /** @param {string} json */
      show: (json) => tell({ type: 'status', status: JSON.parse(json) }),
      /** @param {string} line */
      log: (line) => tell({ type: 'log', line }),
      finished: () => tell({ type: 'finished' }),
    },
  };
}

class Timers {
  /** @type {(timer: number) => void} */
  #due = () => {};

  /** @param {(timer: number) => void} due */
  listen(due) {
    this.#due = due;
  }

  /** @param {number} timer @param {number} milliseconds */
  after(timer, milliseconds) {
    setTimeout(() => this.#due(timer), milliseconds);
  }
}
