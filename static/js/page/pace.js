/** Tasks a second over time: a sample a second, for a number and a chart of the last two minutes. */

const SAMPLES = 120;
const WINDOW = 10; // seconds that the number is an average of

export class Pace {
  /** @type {number[]} tasks in each second, the newest last */
  #samples = new Array(SAMPLES).fill(0);
  #total = 0;
  #seen = 0;

  /** @param {number} total tasks since the start */
  count(total) {
    this.#total = total;
  }

  /** A provider that was started anew counts from zero. */
  restart() {
    this.#total = this.#seen = 0;
  }

  /** Called once a second, or later where the browser slows timers down. @param {number} seconds since the last call */
  tick(seconds) {
    const steps = Math.min(SAMPLES, Math.max(1, Math.round(seconds)));
    const each = (this.#total - this.#seen) / seconds;
    this.#seen = this.#total;
    for (let i = 0; i < steps; i++) this.#samples.push(each);
    this.#samples.splice(0, this.#samples.length - SAMPLES);
  }

  get rate() {
    return this.#samples.slice(-WINDOW).reduce((sum, value) => sum + value, 0) / WINDOW;
  }

  get peak() {
    return Math.max(...this.#samples);
  }

  /** Points of a line through all samples, for an SVG of this size. @param {number} width @param {number} height */
  points(width, height) {
    const top = Math.max(this.peak, 1e-9);
    return this.#samples.map((value, i) => `${((i * width) / (SAMPLES - 1)).toFixed(1)},${(height - (value / top) * (height - 2)).toFixed(1)}`).join(' ');
  }
}

/** A whole number with commas: the browser's own words for it take some 10 ms to be loaded, just when Python is up. @param {number} value */
export function countText(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** @param {number} value tasks a second */
export function rateText(value) {
  if (value <= 0) return '0';
  if (value < 1) return value.toFixed(2);
  return value < 20 ? value.toFixed(1) : countText(Math.round(value));
}
