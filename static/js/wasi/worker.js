/** The script of a WASI worker: messages in, messages out. Built into one file by scripts/build_static.mjs. */
import { Slot } from './slot.js';
import { Thread } from './threads/thread.js';

const scope = /** @type {import('../messages.js').WorkerScope} */ (/** @type {unknown} */ (globalThis));
const NOTHING = new Uint8Array(0);

/** @type {Slot | undefined} */
let slot;

/** @param {string} header @param {Uint8Array<ArrayBuffer>} body @param {SharedArrayBuffer} [memory] */
function send(header, body, memory) {
  if (body.length) scope.postMessage([header, body], [body.buffer]);
  else if (memory) scope.postMessage([header, null, memory]);
  else scope.postMessage([header, null]);
}

/** @type {Thread | undefined} */
let thread;

/** A worker that a slot started does its threads. @param {{join: SharedArrayBuffer} | {thread: import('./threads/thread.js').Start}} message */
function help(message) {
  if ('thread' in message) {
    scope.postMessage(thread?.run(message.thread));
  } else {
    thread = new Thread(message.join, () => scope.postMessage(null));
    globalThis.onmessageerror = () => scope.postMessage({ broken: 'a thread got a message that can not be read' });
    scope.postMessage('ready');
  }
}

/** @param {MessageEvent} event */
scope.onmessage = (event) => {
  if (!Array.isArray(event.data)) return help(event.data);
  const [header, body, memory] = /** @type {import('../messages.js').SlotMessage} */ (event.data);
  const order = /** @type {import('../messages.js').SlotOrder} */ (JSON.parse(header));
  if (order.start) {
    slot = new Slot(order.start, send);
    send(JSON.stringify({ ready: { engine: `browser_wasi_shim ${SHIM_VERSION}` } }), NOTHING);
  }
  if (order.blobs) slot?.push(order.blobs, body ?? NOTHING);
  if (order.input !== undefined && memory) slot?.open(order.input, memory);
  if (order.runs) slot?.take(order.runs, body ?? NOTHING);
};
