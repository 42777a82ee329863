/** The files that a task's packages need: the broker finds and checks them, we check once more and keep the last ones. */
import { sha256 } from '../shared/sha256.js';
import { Lru } from '../shared/lru.js';
import { Broken, Fault } from '../wasi/faults.js';

/** @typedef {{name: string, sha256: string, library?: boolean}} Named */
/** @typedef {{wheels: Uint8Array[], libraries: Uint8Array[]}} Files wheels, and zips of shared libraries */

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
   * @returns {Promise<Files>}
   * @throws {Fault} when there is no such package  @throws {Broken} when it can't be had now
   */
  async get(requirements) {
    if (!requirements.length) return { wheels: [], libraries: [] };
    const key = JSON.stringify([...requirements].sort());
    const known = this.#resolved.get(key);
    if (known) {
      const files = await this.#files(known).catch(() => null);
      if (files) return files;
      this.#resolved.delete(key); // the broker may have made room for others since
    }
    const found = await this.#resolve(requirements);
    const files = await this.#files(found);
    if (this.#resolved.size >= 64) this.#resolved.clear();
    this.#resolved.set(key, found);
    return files;
  }

  /** @param {Named[]} named @returns {Promise<Files>} */
  async #files(named) {
    const files = await Promise.all(named.map((file) => this.#file(file)));
    const pick = (/** @type {boolean} */ library) => files.filter((_, index) => (named[index].library === true) === library);
    return { wheels: pick(false), libraries: pick(true) };
  }

  /** @param {string[]} requirements @returns {Promise<Named[]>} */
  async #resolve(requirements) {
    const query = new URLSearchParams(requirements.map((requirement) => ['package', requirement]));
    const answer = await fetch(`${this.base}/resolve?${query}`, { headers: { accept: 'application/json' } }).catch((error) => {
      throw new Broken(`the broker can't be asked for packages: ${error.message}`);
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said.wheels;
    // Another provider would ask the same broker; only when it is too busy may it say otherwise then.
    if (said.message && answer.status !== 429) throw new Fault(said.message);
    throw new Broken(said.message ?? `the broker answered ${answer.status} to a question for packages`);
  }

  /** @param {Named} file */
  async #file({ name, sha256: digest }) {
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
