/**
 * What Node starts with, given by `node -e`: reads what interpreters are made of, has the fence closed, takes away all that is
 * Node's, and only then lets run what came from the broker (static/js/python/native.js). Needs no file.
 *
 * Arguments: descriptors of the channel, of random numbers, and of the script, module, snapshot, stdlib and lock; and, where an
 * interpreter before has kept them (baking.py), of what V8 has compiled of the module and of the script.
 */
'use strict';
(() => {
  const fs = require('node:fs');
  const os = require('node:os');
  const v8 = require('node:v8');
  const { Script } = require('node:vm');
  const [channel, random, ...pieces] = process.argv.slice(1).map(Number);
  const { readSync, writeSync } = fs;

  function read(/** @type {number} */ descriptor) {
    const bytes = new Uint8Array(fs.fstatSync(descriptor).size);
    // At positions: the descriptor's own is that of all processes which have it.
    for (let at = 0; at < bytes.length; ) at += fs.readSync(descriptor, bytes, at, bytes.length - at, at);
    fs.closeSync(descriptor);
    return bytes;
  }

  /** Waits until the array is full. @param {Uint8Array} bytes */
  function fill(/** @type {number} */ descriptor, bytes) {
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(descriptor, bytes, at, bytes.length - at, null);
      if (count === 0) exit(0);
      at += count;
    }
  }

  /** Calls a function that V8 keeps for itself, and whose name can be written only meanwhile. @param {...unknown} given */
  function inside(/** @type {string} */ call, ...given) {
    v8.setFlagsFromString('--allow-natives-syntax');
    try {
      return new Function('a', 'b', `return ${call}`)(...given);
    } finally {
      v8.setFlagsFromString('--no-allow-natives-syntax');
    }
  }

  /** The call by which fence.py knows that it is time. From then on it is refused, as is all that is not needed to compute. */
  function close() {
    try {
      os.getPriority();
    } catch (error) {
      return /** @type {any} */ (error).info?.code === 'ENOSYS';
    }
    return false;
  }

  /** Where what a page's worker has is an object of Node's, it gets one that leads nowhere. */
  function plain() {
    const { setTimeout, clearTimeout, setImmediate, performance, Uint8Array } = globalThis;
    const timers = new Map();
    let last = 0;
    const later = (/** @type {boolean} */ again) => (/** @type {unknown} */ f, /** @type {number} */ ms, /** @type {unknown[]} */ ...args) => {
      const timer = ++last;
      const due = () => {
        if (again) timers.set(timer, setTimeout(due, ms));
        else timers.delete(timer);
        if (typeof f === 'function') f(...args);
      };
      timers.set(timer, setTimeout(due, ms));
      return timer;
    };
    const never = (/** @type {number} */ timer) => {
      clearTimeout(timers.get(timer));
      timers.delete(timer);
    };
    class WorkerGlobalScope {}
    class MessageChannel {
      port1 = { onmessage: null, start() {} };
      port2 = { postMessage: (/** @type {unknown} */ data) => void setImmediate(() => /** @type {any} */ (this.port1).onmessage?.({ data })) };
    }
    const nothing = () => {};
    Object.setPrototypeOf(globalThis, WorkerGlobalScope.prototype);
    return {
      self: globalThis,
      WorkerGlobalScope,
      MessageChannel,
      setTimeout: later(false),
      setInterval: later(true),
      clearTimeout: never,
      clearInterval: never,
      addEventListener: nothing,
      removeEventListener: nothing,
      console: Object.fromEntries(['log', 'info', 'warn', 'error', 'debug', 'trace'].map((name) => [name, nothing])),
      performance: { now: () => performance.now(), timeOrigin: performance.timeOrigin },
      // Node's own takes a while to load.
      crypto: { getRandomValues: (/** @type {any} */ array) => (fill(random, new Uint8Array(array.buffer, array.byteOffset, array.byteLength)), array) },
      navigator: { userAgent: 'wasimoff', platform: '' },
      location: new URL('http://localhost/'),
    };
  }

  const STAYS = new Set(
    (
      'Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError EvalError ' +
      'RangeError ReferenceError SyntaxError TypeError URIError SuppressedError JSON Math Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array ' +
      'Uint32Array Int32Array Float16Array Float32Array Float64Array Uint8ClampedArray BigUint64Array BigInt64Array DataView Map BigInt Set Iterator ' +
      'WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry DisposableStack AsyncDisposableStack decodeURI decodeURIComponent encodeURI ' +
      'encodeURIComponent escape unescape isFinite isNaN globalThis eval SharedArrayBuffer WebAssembly ' +
      'queueMicrotask structuredClone atob btoa TextEncoder TextDecoder AbortController AbortSignal Event EventTarget DOMException URL URLSearchParams'
    ).split(' '),
  );

  /** Only names that can be taken away are Node's. */
  function seal() {
    const put = plain();
    for (const name of Reflect.ownKeys(globalThis)) {
      if (typeof name === 'string' && STAYS.has(name)) continue;
      if (!Reflect.deleteProperty(globalThis, name)) throw new Error(`${String(name)} can't be taken away`);
    }
    for (const [name, value] of Object.entries(put)) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }

  /** What V8 has compiled until now, for others that have the same of it. @param {unknown} module */
  function bake(module) {
    for (const flag of ['--liftoff', '--wasm-dynamic-tiering']) v8.setFlagsFromString(flag); // as it is with them
    return { code: new Uint8Array(inside('%SerializeWasmModule(a)', module)), bytecode: new Uint8Array(program.createCachedData()) };
  }

  const exit = process.exit.bind(process);
  const baking = process.execArgv.includes('--no-liftoff');
  const [script, module, snapshot, stdlib, lock, code, bytecode] = pieces.map(read);
  const text = new TextDecoder();
  const door = {
    pieces: { module, snapshot, stdlib, lock: text.decode(lock) },
    /** @param {Uint8Array} bytes */
    read: (bytes) => fill(channel, bytes),
    /** @param {Uint8Array} bytes */
    write(bytes) {
      for (let at = 0; at < bytes.length; ) at += writeSync(channel, bytes, at);
    },
  };
  // A task may wait for ever.
  setInterval(() => {}, 2 ** 30);
  const quiet = process.on.bind(process, 'uncaughtException', () => {});
  close();
  if (!close()) throw new Error('the fence does not close');
  seal();
  const scope = /** @type {any} */ (globalThis);
  if (code) door.pieces.module = inside('%DeserializeWasmModule(a, b)', code.buffer, module) ?? module;
  const program = new Script(text.decode(script), { filename: 'native.js', cachedData: bytecode });
  if (baking) Object.assign(door, { bake });
  program.runInThisContext();
  const serve = scope.serve;
  delete scope.serve;
  // What a task throws beside its program is no matter, as in the tab.
  quiet();
  serve(door);
})();
