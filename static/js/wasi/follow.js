/** Tells what a run writes while it runs: at once, but not more often than every 50 ms unless it is much. */

const EVERY = 50; // ms
const MUCH = 64 << 10; // bytes

/** @typedef {import('./streams.js').Output} Output */

export class Follower {
  #last = -Infinity;
  #told = [0, 0];

  /** @param {Output[]} streams stdout and stderr @param {(stdout: Uint8Array, stderr: Uint8Array) => void} tell */
  constructor(streams, tell) {
    this.streams = streams;
    this.tell = tell;
    for (const stream of streams) stream.written = () => this.#look();
  }

  /** The program writes nothing for a while. */
  flush() {
    if (this.#fresh) this.#tell(performance.now());
  }

  get #fresh() {
    return this.streams.reduce((sum, { length }, which) => sum + length - this.#told[which], 0);
  }

  #look() {
    const now = performance.now();
    if (this.#fresh >= MUCH || now - this.#last >= EVERY) this.#tell(now);
  }

  /** @param {number} now */
  #tell(now) {
    this.#last = now;
    const [stdout, stderr] = this.streams.map(({ bytes }, which) => bytes.subarray(this.#told[which]));
    this.#told = this.streams.map(({ length }) => length);
    this.tell(stdout, stderr);
  }
}
