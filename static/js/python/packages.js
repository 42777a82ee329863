/** The wheels that a task's packages need: the broker finds and checks them, we check once more and keep the last ones. */
import { sha256 } from '../shared/sha256.js';
import { Lru } from '../shared/lru.js';
import { Broken, Fault } from '../wasi/faults.js';

/** @typedef {{name: string, sha256: string}} Named */

const KEPT_BYTES = 64 << 20;

export class Packages {
  /** @type {Lru<Uint8Array>} */
  #kept = new Lru(KEPT_BYTES);
  /** @type {Map<string, Named[]>} */
  #resolved = new Map();

  /** @param {string} base URL of the broker's Python packages */
  constructor(base) {
    this.base = base;
  }

  /**
   * @param {string[]} requirements
   * @returns {Promise<Uint8Array[]>}
   * @throws {Fault} when there is no such package  @throws {Broken} when it can't be had now
   */
  async get(requirements) {
    if (!requirements.length) return [];
    const key = JSON.stringify([...requirements].sort());
    let wheels = this.#resolved.get(key);
    if (!wheels) {
      wheels = await this.#resolve(requirements);
      if (this.#resolved.size >= 64) this.#resolved.clear();
      this.#resolved.set(key, wheels);
    }
    return Promise.all(wheels.map((wheel) => this.#wheel(wheel)));
  }

  /** @param {string[]} requirements @returns {Promise<Named[]>} */
  async #resolve(requirements) {
    const query = new URLSearchParams(requirements.map((requirement) => ['package', requirement]));
    const answer = await fetch(`${this.base}/resolve?${query}`, { headers: { accept: 'application/json' } }).catch((error) => {
      throw new Broken(`the broker can't be asked for packages: ${error.message}`);
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said.wheels;
    const text = said.message ?? `the broker answered ${answer.status} to a question for packages`;
    throw answer.status === 404 || answer.status === 400 ? new Fault(text) : new Broken(text);
  }

  /** @param {Named} wheel */
  async #wheel({ name, sha256: digest }) {
    const kept = this.#kept.get(digest);
    if (kept) return kept;
    const answer = await fetch(`${this.base}/wheels/${digest}/${name}`).catch(() => null);
    if (!answer?.ok) throw new Broken(`the package ${name} could not be fetched from the broker`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if ((await sha256(bytes)) !== digest) throw new Broken(`the package ${name} was fetched, but has another digest`);
    this.#kept.set(digest, bytes, bytes.length);
    return bytes;
  }
}
