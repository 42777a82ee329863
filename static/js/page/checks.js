/** What this browser, or the way this page came here, lacks: in words, with what would help. */

/** @typedef {{kind: 'bad' | 'info', text: string}} Notice */

/** @returns {Notice[]} a bad one means that nothing can run here */
export function notices() {
  /** @type {Notice[]} */
  const found = [];
  if (typeof WebAssembly !== 'object') {
    found.push({ kind: 'bad', text: 'This browser runs no WebAssembly: it is too old, or a setting (a “lockdown” or “strict” mode) switches it off for this site. Allow it, or use another browser.' });
  }
  if (typeof Worker !== 'function') {
    found.push({ kind: 'bad', text: 'This browser starts no workers, so nothing could run in the background. Use another browser.' });
  }
  if (typeof WebSocket !== 'function') {
    found.push({ kind: 'bad', text: 'This browser opens no WebSockets, which is how tasks come here. Use another browser.' });
  }
  if (!isSecureContext) {
    found.push({ kind: 'info', text: 'This page came over plain HTTP. Lending works all the same. Over HTTPS the browser could also keep the screen awake, notice a second tab that lends, let programs sleep without burning a core, and run those that are talked to while they run.' });
  }
  return found;
}
