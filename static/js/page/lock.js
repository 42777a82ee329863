/** One provider per origin: a Web Lock, where there are any (not over plain HTTP from another machine). */

const NAME = 'wasimoff-provider';

export class OriginLock {
  /** @type {(() => void) | null} */
  #release = null;
  /** @type {AbortController | null} */
  #waiting = null;

  /** @param {() => void} taken called when another tab takes the lock away */
  constructor(taken) {
    this.taken = taken;
  }

  get held() {
    return this.#release !== null || !navigator.locks;
  }

  /** Takes the lock if it is free; true when it is ours. */
  take() {
    return this.#request({ ifAvailable: true });
  }

  /** Takes the lock from whoever has it. */
  steal() {
    this.#waiting?.abort();
    return this.#request({ steal: true });
  }

  /** Resolves with true once the lock came to us, with false when we stopped waiting. */
  wait() {
    this.#waiting?.abort();
    this.#waiting = new AbortController();
    return this.#request({ signal: this.#waiting.signal });
  }

  release() {
    this.#waiting?.abort();
    this.#release?.();
    this.#release = null;
  }

  /** @param {LockOptions} options @returns {Promise<boolean>} */
  #request(options) {
    if (this.held) return Promise.resolve(true);
    return new Promise((resolve) => {
      let release = () => {};
      navigator.locks
        .request(NAME, options, (lock) => {
          resolve(lock !== null);
          if (!lock) return undefined;
          return new Promise((done) => {
            this.#release = release = () => done(undefined);
          });
        })
        .catch(() => {
          resolve(false);
          if (this.#release !== release) return;
          this.#release = null;
          this.taken();
        });
    });
  }
}
