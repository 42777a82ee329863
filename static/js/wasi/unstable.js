/** `wasi_unstable`, WASI's preview 0: preview 1's calls under an older name, but for four whose data has another form. */

/** @typedef {import('./host.js').Host} Host */
/** @typedef {Record<string, (...args: any[]) => number | void>} Calls */

const SINCE_PREVIEW_1 = ['sock_accept'];
const WHENCES = 3;
const STAT = { old: 56, now: 64 }; // bytes
const SUBSCRIPTION = { old: 56, now: 48 };
const HEAD = 16; // bytes of a subscription before what it is for

/** @param {Host} host @param {Calls} calls of preview 1 @returns {Calls} */
export function unstableCalls(host, calls) {
  const same = Object.entries(calls).filter(([name]) => !SINCE_PREVIEW_1.includes(name));
  return {
    ...Object.fromEntries(same),
    /** It began with CUR. */
    fd_seek: (/** @type {number} */ fd, /** @type {bigint} */ offset, /** @type {number} */ whence, /** @type {number} */ ptr) =>
      calls.fd_seek(fd, offset, whence >>> 0 < WHENCES ? (whence + 1) % WHENCES : whence, ptr),
    fd_filestat_get: withOldStat(host, calls.fd_filestat_get),
    path_filestat_get: withOldStat(host, calls.path_filestat_get),
    poll_oneoff(/** @type {number} */ subscriptions, /** @type {number} */ events, /** @type {number} */ count, /** @type {number} */ ptr) {
      const given = host.guest.slice(subscriptions, (count >>> 0) * SUBSCRIPTION.old);
      const kept = given.slice();
      for (let index = 0; index < count >>> 0; index++) {
        const from = index * SUBSCRIPTION.old;
        const to = index * SUBSCRIPTION.now;
        // A clock had a name of its own before its number.
        const skipped = given[from + 8] ? 0 : SUBSCRIPTION.old - SUBSCRIPTION.now;
        given.copyWithin(to, from, from + HEAD);
        given.copyWithin(to + HEAD, from + HEAD + skipped, from + SUBSCRIPTION.now + skipped);
      }
      try {
        return calls.poll_oneoff(subscriptions, events, count, ptr);
      } finally {
        host.guest.slice(subscriptions, kept.length).set(kept);
      }
    },
  };
}

/**
 * Links were counted in 32 bits: all that follows was 8 bytes nearer.
 * @param {Host} host @param {(...args: any[]) => number | void} call whose last argument is where the stat goes
 */
function withOldStat(host, call) {
  return (/** @type {any[]} */ ...args) => {
    const ptr = args[args.length - 1];
    const behind = host.guest.slice(ptr, STAT.now).slice(STAT.old);
    const errno = call(...args);
    const stat = host.guest.slice(ptr, STAT.now);
    stat.copyWithin(20, 24, 28);
    stat.copyWithin(24, 32, STAT.now);
    stat.set(behind, STAT.old);
    return errno;
  };
}
