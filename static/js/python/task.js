/**
 * A fresh Python for one task: restored beforehand, used once. The same in a sealed worker of a tab and in Node.
 */
import { restore } from './restore.js';

/** @typedef {import('./restore.js').Module} Module */
/** @typedef {import('../messages.js').PythonOrder} PythonOrder */
/** @typedef {import('../messages.js').PythonParts} PythonParts */
/** @typedef {import('../messages.js').PythonEnd} PythonEnd */

/**
 * What all interpreters are made of.
 * @typedef {object} Pieces
 * @property {WebAssembly.Module} module Pyodide's, compiled
 * @property {Uint8Array} snapshot
 * @property {Uint8Array} stdlib a zip
 * @property {string} lock which Pyodide this is, as JSON
 */

const FOLLOW_MS = 100;
const NO_SPACE = 51;

export class Interpreter {
  /** @type {import('pyodide').PyodideAPI & {_module: Module, _api: Module}} */
  pyodide = /** @type {any} */ (null);
  /** Bytes of memory that Python may have, and those it was refused. */
  memory = { most: Infinity, refused: 0 };
  files = { most: Infinity, used: 0 };
  #equipped = false;

  /**
   * @param {import('./restore.js').LoadPyodide} loadPyodide @param {import('./restore.js').Create} create
   * @param {Pieces} pieces @param {Record<string, unknown>} jsglobals
   */
  async start(loadPyodide, create, pieces, jsglobals) {
    const options = { indexURL: '/', stdLibURL: '/stdlib.zip', lockFileContents: pieces.lock, packageBaseUrl: '/', jsglobals, checkAPIVersion: false, stdin: () => null };
    const [snapshot, program] = [Promise.resolve(pieces.snapshot), Promise.resolve(pieces.module)];
    const limit = (/** @type {any} */ imports) => this.#limit(imports);
    this.pyodide = /** @type {any} */ (await restore(loadPyodide, Promise.resolve(create), snapshot, /** @type {any} */ (options), program, limit));
    this.#watchFiles();
    // Python's random numbers and the names of its temporary files are in the snapshot.
    this.pyodide.runPython('import random; random.seed()');
    this.guest = this.pyodide.pyimport('pyodide_provider.guest');
  }

  /** @param {any} imports of Pyodide's program */
  #limit(imports) {
    const resize = imports.env.emscripten_resize_heap;
    imports.env.emscripten_resize_heap = (/** @type {number} */ size) => {
      if (size >>> 0 <= this.memory.most) return resize(size);
      this.memory.refused = size >>> 0;
      return 0;
    };
  }

  /** Files are kept in JavaScript's memory, which has no limit of its own that would spare the tab. */
  #watchFiles() {
    const { FS } = this.pyodide._module;
    const { MEMFS } = FS.filesystems;
    const expand = MEMFS.expandFileStorage;
    MEMFS.expandFileStorage = (/** @type {Module} */ node, /** @type {number} */ size) => {
      const before = node.contents?.length ?? 0;
      if (size > before && this.files.used + size - before > this.files.most) throw new FS.ErrnoError(NO_SPACE);
      expand(node, size);
      this.files.used += (node.contents?.length ?? 0) - before;
    };
  }

  /**
   * Gives it what the tasks of a kit have in common. What packages print when they are imported is nobody's.
   * @param {import('../messages.js').Kit} kit @param {PythonParts} parts its wheels and libraries
   */
  equip({ packages, envs, limits }, parts) {
    const nobody = { write: (/** @type {Uint8Array} */ bytes) => bytes.length, isatty: false };
    this.pyodide.setStdout(nobody);
    this.pyodide.setStderr(nobody);
    this.memory.most = Math.max(limits.memory, this.pyodide._module.HEAPU8.length);
    Object.assign(this.files, { most: limits.files, used: 0 });
    this.guest.equip(JSON.stringify({ packages, envs }), parts);
    this.#equipped = true;
  }

  /**
   * @param {PythonOrder} order @param {PythonParts} parts
   * @param {() => void} begin called when the program starts
   * @param {(stdout: Uint8Array, stderr: Uint8Array) => void} follow told what it has written since the last time
   * @returns {Promise<PythonEnd>}
   */
  async run(order, parts, begin, follow) {
    const output = new Output(order.limits.output, order.follow ? follow : () => {});
    this.pyodide.setStdout({ write: (bytes) => output.write(0, bytes), isatty: false });
    this.pyodide.setStderr({ write: (bytes) => output.write(1, bytes), isatty: false });
    this.#feed(parts.stdin);
    this.memory.most = Math.max(order.limits.memory, this.pyodide._module.HEAPU8.length);
    Object.assign(this.files, { most: order.limits.files, used: this.#equipped ? this.files.used : 0 });
    // Where an interpreter dies, what waits for it is never told.
    /** @type {Promise<never>} */
    const fatal = new Promise((_, reject) => (this.pyodide._api.on_fatal = reject));
    /** @type {PythonEnd} */
    let end;
    try {
      end = await Promise.race([this.guest.run(JSON.stringify(order), parts, begin), fatal]);
    } catch (error) {
      end = { error: died(error) };
    }
    const [stdout, stderr] = output.all();
    const memory = this.pyodide._module.HEAPU8.length;
    const { most, refused } = this.memory;
    if (output.over) end = { error: `output limit exceeded: more than ${order.limits.output} bytes` };
    else if (end.error && end.kind === 'MemoryError' && refused) {
      end.error = `memory limit exceeded: ${mebibytes(memory)} of at most ${mebibytes(most)} in use when the program stopped: ${end.error}`;
    }
    return { ...end, stdout, stderr, memory, version: this.pyodide.version };
  }

  /** @param {Uint8Array | undefined} stdin */
  #feed(stdin) {
    let rest = stdin ?? new Uint8Array(0);
    this.pyodide.setStdin({
      isatty: false,
      read: (/** @type {Uint8Array} */ buffer) => {
        const part = rest.subarray(0, buffer.length);
        buffer.set(part);
        rest = rest.subarray(part.length);
        return part.length;
      },
    });
  }
}

class Output {
  /** @type {[Uint8Array[], Uint8Array[]]} */
  #kept = [[], []];
  /** @type {[Uint8Array[], Uint8Array[]]} */
  #untold = [[], []];
  #left;
  #told = 0;
  over = false;

  /** @param {number} most @param {(stdout: Uint8Array, stderr: Uint8Array) => void} tell */
  constructor(most, tell) {
    this.#left = most;
    this.tell = tell;
  }

  /** @param {0 | 1} stream @param {Uint8Array} bytes */
  write(stream, bytes) {
    this.#left -= bytes.length;
    if (this.#left < 0) this.over = true;
    if (this.over) throw new Error('output limit exceeded');
    const copy = bytes.slice();
    this.#kept[stream].push(copy);
    this.#untold[stream].push(copy);
    const now = performance.now();
    if (now - this.#told >= FOLLOW_MS) {
      this.#told = now;
      this.tell(join(this.#untold[0]), join(this.#untold[1]));
      this.#untold = [[], []];
    }
    return bytes.length;
  }

  all() {
    return [join(this.#kept[0]), join(this.#kept[1])];
  }
}

/** @param {Uint8Array[]} parts */
export function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {any} error that left Python altogether */
function died(error) {
  if (typeof error?.status === 'number') return `the program ended its interpreter: exit code ${error.status}`;
  return `Python died: ${error?.message ?? error}`;
}

/** @param {number} bytes */
function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
