/** How long somebody has slept, for others to see while it sleeps: in memory that workers share, by a clock that they share. */

const [SLEPT, SINCE] = [0, 1]; // of 8 bytes, in ms
export const SLEEP_SIZE = 16; // bytes

export class Sleep {
  /** @param {SharedArrayBuffer} [shared] @param {number} [offset] in it */
  constructor(shared = new SharedArrayBuffer(SLEEP_SIZE), offset = 0) {
    this.shared = shared;
    this.times = new Float64Array(shared, offset, SLEEP_SIZE / 8);
  }

  /** It may be asleep already. */
  fallAsleep() {
    this.times[SINCE] ||= now();
  }

  wake() {
    this.times[SLEPT] = this.slept;
    this.times[SINCE] = 0;
  }

  get asleep() {
    return this.times[SINCE] > 0;
  }

  /** Milliseconds so far. */
  get slept() {
    const since = this.times[SINCE];
    return this.times[SLEPT] + (since ? now() - since : 0);
  }

  clear() {
    this.times.fill(0);
  }
}

function now() {
  return performance.timeOrigin + performance.now();
}
