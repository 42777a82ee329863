/**
 * Takes from a worker's global scope all that leads out of it: the network, storage, other workers, other tabs, its parent.
 * What stays is the language and what Pyodide needs. The worker's content security policy holds as well; this is the second wall.
 */

const STAYS = new Set(
  (
    'Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError EvalError ' +
    'RangeError ReferenceError SyntaxError TypeError URIError SuppressedError JSON Math Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array ' +
    'Uint32Array Int32Array Float16Array Float32Array Float64Array Uint8ClampedArray BigUint64Array BigInt64Array DataView Map BigInt Set Iterator ' +
    'WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry DisposableStack AsyncDisposableStack decodeURI decodeURIComponent encodeURI ' +
    'encodeURIComponent escape unescape isFinite isNaN globalThis eval SharedArrayBuffer WebAssembly ' +
    'constructor self console performance crypto setTimeout clearTimeout setInterval clearInterval queueMicrotask structuredClone atob btoa ' +
    'TextEncoder TextDecoder MessageChannel MessagePort MessageEvent AbortController AbortSignal Event EventTarget DOMException URL ' +
    'URLSearchParams ImageData WorkerGlobalScope DedicatedWorkerGlobalScope location navigator'
  ).split(' '),
);
const NETWORK = 'fetch Request Response Headers XMLHttpRequest WebSocket ReadableStream Blob FormData'.split(' ');

/** @param {boolean} network whether its doors stay open */
export function seal(network) {
  const open = new Set(network ? NETWORK : []);
  for (let object = globalThis; object && object !== Object.prototype; object = Object.getPrototypeOf(object)) {
    for (const name of Object.getOwnPropertyNames(object)) {
      if (!STAYS.has(name) && !open.has(name)) take(object, name);
    }
  }
  for (const prototype of [globalThis.navigator && Object.getPrototypeOf(globalThis.navigator)]) {
    if (prototype) for (const name of Object.getOwnPropertyNames(prototype)) if (name !== 'userAgent' && name !== 'platform') take(prototype, name);
  }
}

/** What a task says is told to who asked for it, not on the console of who lends. */
export function quiet() {
  for (const name of Object.keys(console)) Object.assign(console, { [name]: () => {} });
  for (const kind of ['error', 'unhandledrejection']) globalThis.addEventListener(kind, (event) => event.preventDefault());
}

/** @param {any} object @param {string} name */
function take(object, name) {
  const { configurable, value } = Object.getOwnPropertyDescriptor(object, name) ?? {};
  if (configurable) delete object[name];
  else if (typeof value !== 'number' && typeof value !== 'string') throw new Error(`${name} can't be taken away`);
}

/** What a task's Python finds in its module `js`. @param {boolean} network */
export function visible(network) {
  const names = 'Object Array Date Promise JSON Math Map Set Uint8Array Float64Array ArrayBuffer performance setTimeout clearTimeout console TextEncoder TextDecoder AbortController AbortSignal'.split(' ');
  const scope = /** @type {any} */ (globalThis);
  const js = Object.fromEntries([...names, ...(network ? NETWORK : [])].map((name) => [name, scope[name]]));
  return network ? { ...js, fetch: scope.fetch.bind(scope) } : js;
}
