/** The two clocks, in nanoseconds, and sleeping: without using the processor where the page is cross-origin isolated. */

const MAX_DRIFT = 50; // ms that the steady clock may be away from the wall's before it is set again
const MAX_WAIT = 2 ** 31 - 1; // ms, of one wait

let origin = performance.timeOrigin;

/** Nanoseconds since 1970, as a number: 256 ns is all that it can tell apart. */
export function wallTime() {
  const wall = Date.now();
  if (Math.abs(origin + performance.now() - wall) > MAX_DRIFT) origin = wall - performance.now();
  return Math.round((origin + performance.now()) * 1e6);
}

/** Nanoseconds since some moment, never going back. */
export function steadyTime() {
  return Math.round(performance.now() * 1e6);
}

/** @type {Int32Array | null} */
const bell = typeof SharedArrayBuffer === 'function' ? new Int32Array(new SharedArrayBuffer(4)) : null;

/**
 * Waits until the steady clock shows that time.
 * @param {number} until in nanoseconds
 * @returns {number} the milliseconds of it in which the processor was free
 */
export function sleepUntil(until) {
  const end = until / 1e6;
  const began = performance.now();
  while (performance.now() < end) {
    // Without shared memory there is no way to wait within a call: then it spins.
    if (bell) Atomics.wait(bell, 0, 0, Math.min(end - performance.now(), MAX_WAIT));
  }
  return bell ? performance.now() - began : 0;
}
