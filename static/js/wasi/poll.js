/** `poll_oneoff`: waits until one of several clocks has come, or a descriptor can be read or written (files and streams always can, but for input that is still to come). */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { sleepUntil, steadyTime, wallTime } from './clock.js';
import { fail } from './errno.js';
import { OpenDirectory, OpenFile } from './open.js';
import { LiveInput } from './streams.js';

/** @typedef {import('./host.js').Host} Host */
/**
 * @typedef {object} Subscription
 * @property {bigint} userdata
 * @property {number} type
 * @property {number} due by the steady clock, in ns
 * @property {OpenFile | null} file
 * @property {LiveInput | null} live to be waited for
 */

const SUBSCRIPTION_SIZE = 48;
const EVENT_SIZE = 32;

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
export function pollCalls(host) {
  const { guest } = host;
  return {
    poll_oneoff(/** @type {number} */ subscriptions, /** @type {number} */ events, /** @type {number} */ count, /** @type {number} */ ptr) {
      if (!count) fail(wasi.ERRNO_INVAL);
      guest.slice(subscriptions, (count >>> 0) * SUBSCRIPTION_SIZE);
      const asked = Array.from({ length: count >>> 0 }, (_, index) => read(host, (subscriptions >>> 0) + index * SUBSCRIPTION_SIZE));
      const first = asked.reduce((due, subscription) => Math.min(due, dueOf(subscription)), Infinity);
      const live = asked.find(({ live: input }) => input)?.live;
      if (live) waitFor(live, first);
      else if (first > steadyTime()) host.pause(() => sleepUntil(first));
      const now = steadyTime();
      const ready = asked.filter((subscription) => dueOf(subscription) <= now);
      ready.forEach((subscription, index) => write(host, (events >>> 0) + index * EVENT_SIZE, subscription));
      guest.setU32(ptr, ready.length);
    },
  };
}

/** @param {Subscription} subscription as it stands now */
function dueOf({ due, live }) {
  return live && !live.source.ready ? Infinity : due;
}

/** @param {LiveInput} live @param {number} until in nanoseconds; -Infinity: something else is there already */
function waitFor(live, until) {
  for (let left = until - steadyTime(); left > 0 && !live.source.ready; left = until - steadyTime()) live.wait(left / 1e6);
}

/**
 * Whether a call waits for nothing but clocks, or is wrong anyway.
 * @param {Host} host @param {number} subscriptions @param {number} count
 */
export function allClocks({ guest }, subscriptions, count) {
  try {
    const [from, size] = [subscriptions >>> 0, (count >>> 0) * SUBSCRIPTION_SIZE];
    guest.slice(from, size);
    for (let at = from; at < from + size; at += SUBSCRIPTION_SIZE) if (guest.u8(at + 8) !== wasi.EVENTTYPE_CLOCK) return false;
  } catch {
    // The call says what it is.
  }
  return true;
}

/** @param {Host} host @param {number} at @returns {Subscription} */
function read({ guest, descriptors, stdin, asOf }, at) {
  const userdata = guest.u64(at);
  const type = guest.u8(at + 8);
  if (type > wasi.EVENTTYPE_FD_WRITE) fail(wasi.ERRNO_INVAL);
  if (type === wasi.EVENTTYPE_CLOCK) {
    return { userdata, type, due: dueTime(asOf ?? steadyTime(), guest.u32(at + 16), Number(guest.u64(at + 24)), guest.u16(at + 40)), file: null, live: null };
  }
  const found = descriptors.get(guest.u32(at + 16));
  const isFile = found instanceof OpenFile;
  if (found instanceof OpenDirectory || (!isFile && (found === stdin) !== (type === wasi.EVENTTYPE_FD_READ))) fail(wasi.ERRNO_BADF);
  return { userdata, type, due: -Infinity, file: isFile ? found : null, live: found instanceof LiveInput ? found : null };
}

/** @param {number} now @param {number} clock @param {number} timeout @param {number} flags @returns {number} nanoseconds of the steady clock */
function dueTime(now, clock, timeout, flags) {
  const absolute = wasi.SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
  if (flags & ~absolute || clock > wasi.CLOCKID_MONOTONIC) fail(wasi.ERRNO_INVAL);
  if (!(flags & absolute)) return now + timeout;
  return clock === wasi.CLOCKID_MONOTONIC ? timeout : steadyTime() + timeout - wallTime();
}

/** @param {Host} host @param {number} at @param {Subscription} subscription */
function write({ guest }, at, { userdata, type, file }) {
  const to = guest.record(at, EVENT_SIZE);
  guest.slice(to, EVENT_SIZE).fill(0);
  guest.view.setBigUint64(to, userdata, true);
  guest.view.setUint8(to + 10, type);
  if (type === wasi.EVENTTYPE_CLOCK) return;
  const atEnd = file && type === wasi.EVENTTYPE_FD_READ && file.position >= BigInt(file.file.length);
  guest.view.setBigUint64(to + 16, 1n, true);
  guest.view.setUint16(to + 24, atEnd ? wasi.EVENTRWFLAGS_FD_READWRITE_HANGUP : 0, true);
}
