/** Keeps the screen awake while this tab lends, where the browser can and the person wants it. */

export class Wake {
  /** @type {WakeLockSentinel | null} */
  #sentinel = null;
  #wanted = false;

  constructor() {
    document.addEventListener('visibilitychange', () => void this.#apply());
  }

  static get available() {
    return 'wakeLock' in navigator;
  }

  /** @param {boolean} wanted */
  want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    void this.#apply();
  }

  async #apply() {
    if (!Wake.available) return;
    if (!this.#wanted) {
      await this.#sentinel?.release();
      this.#sentinel = null;
    } else if (document.visibilityState === 'visible' && (this.#sentinel?.released ?? true)) {
      this.#sentinel = await navigator.wakeLock.request('screen').catch(() => null); // refused: low battery, or no screen
    }
  }
}
