/** A map that forgets what was used longest ago when the sum of its costs gets too large. */

/** @template T */
export class Lru {
  /** @type {Map<string, {value: T, cost: number}>} */
  #entries = new Map();
  #cost = 0;

  /** @param {number} limit */
  constructor(limit) {
    this.limit = limit;
  }

  get size() {
    return this.#entries.size;
  }

  /** @param {string} key */
  get(key) {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /**
   * Keeps a value; one that costs more than the limit is kept alone.
   * @param {string} key @param {T} value @param {number} cost
   */
  set(key, value, cost) {
    this.#drop(key);
    this.#entries.set(key, { value, cost });
    this.#cost += cost;
    for (const oldest of this.#entries.keys()) {
      if (this.#cost <= this.limit || this.#entries.size === 1) break;
      this.#drop(oldest);
    }
  }

  /** @param {string} key */
  #drop(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#cost -= entry.cost;
  }
}
