/** Compiled modules, ready to run: looked at once when they are compiled, kept while they are used. */
import { Lru } from '../shared/lru.js';
import { Fault } from './faults.js';
import { withMemoryLimit } from './sections.js';
import { isSpawn, threadsOf } from './threads/imports.js';

/** @typedef {import('../messages.js').FileField} FileField */
/** @typedef {import('./threads/imports.js').Threaded} Threaded */
/**
 * @typedef {object} Program
 * @property {WebAssembly.Module} module
 * @property {number} size bytes of wasm
 * @property {number} seconds that compiling took, 0 if it was kept
 * @property {Threaded | null} threads what it shares between them, if it does
 */

const KEPT_BYTES = 64 << 20; // of wasm, in each worker; the compiled code is some times larger

export class Programs {
  /** @type {Lru<Program>} */
  #kept = new Lru(KEPT_BYTES);

  /** @param {import('./blobs.js').Blobs} blobs @param {Record<string, Record<string, unknown>>} offered  WASI's functions, by module and name */
  constructor(blobs, offered) {
    this.blobs = blobs;
    this.offered = offered;
  }

  /** @param {FileField} binary @param {number} memory limit in bytes */
  kept(binary, memory) {
    return 'ref' in binary ? this.#kept.get(key(binary.ref, memory)) : undefined;
  }

  /**
   * @param {FileField} binary
   * @param {Uint8Array<ArrayBuffer>} body of the message that names it
   * @param {number} memory limit in bytes
   * @returns {Promise<Program>}
   * @throws {Fault} when it is no module that we can start; Broken when it can't be had now
   */
  async load(binary, body, memory) {
    const began = performance.now();
    const { bytes, compiling } = await this.#compile(binary, body, memory);
    const module = await compiling.catch((error) => {
      throw error instanceof WebAssembly.CompileError ? new Fault(notRunnable(bytes, error)) : error;
    });
    const threads = check(module, bytes, this.offered);
    const program = { module, size: bytes.length, seconds: 0, threads };
    if ('ref' in binary) this.#kept.set(key(binary.ref, memory), program, bytes.length);
    return { ...program, seconds: (performance.now() - began) / 1000 };
  }

  /** @param {FileField} binary @param {Uint8Array<ArrayBuffer>} body @param {number} memory */
  async #compile(binary, body, memory) {
    if ('ref' in binary) return this.blobs.compile(binary.ref, (bytes) => withMemoryLimit(bytes, memory));
    const bytes = body.subarray(binary.blob[0], binary.blob[0] + binary.blob[1]);
    return { bytes, compiling: WebAssembly.compile(withMemoryLimit(bytes, memory)) };
  }
}

/** @param {string} ref @param {number} memory */
function key(ref, memory) {
  return `${memory} ${ref}`;
}

/** @param {Uint8Array} bytes @param {Error} error */
function notRunnable(bytes, error) {
  const begins = String.fromCharCode(...bytes.subarray(0, 8));
  if (!begins.startsWith('\0asm')) return 'not a WebAssembly module: it does not begin with \\0asm';
  if (begins === '\0asm\x0d\0\x01\0') return 'this is a WebAssembly component; only core modules for WASI preview 1 are taken';
  const text = error.message.replace(/^WebAssembly\.\w+\(\): /, '');
  const found = /^(.*) @\+(\d+)$/s.exec(text);
  return `not a WebAssembly module that this browser can run: ${found ? `at offset ${found[2]}: ${found[1]}` : text}`;
}

const NAMED = 20;

/** @param {WebAssembly.Module} module @param {Uint8Array} bytes @param {Record<string, Record<string, unknown>>} offered */
function check(module, bytes, offered) {
  const start = WebAssembly.Module.exports(module).find((it) => it.name === '_start');
  if (start?.kind !== 'function') throw new Fault('no _start function: the module is not a WASI command');
  const threads = threadsOf(bytes, module);
  const missing = WebAssembly.Module.imports(module)
    .filter((it) => !threads || !(isSpawn(it) || isMemory(it, threads)))
    .filter((it) => it.kind !== 'function' || !Object.hasOwn(offered, it.module) || !Object.hasOwn(offered[it.module], it.name))
    .map((it) => `${it.module}.${it.name} (${it.kind})`);
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : '';
  if (missing.length) throw new Fault(`unknown import: ${missing.slice(0, NAMED).join(', ')}${more}`);
  return threads;
}

/** @param {WebAssembly.ModuleImportDescriptor} wanted @param {Threaded} threads */
function isMemory({ module, name, kind }, { memory }) {
  return kind === 'memory' && module === memory.module && name === memory.name;
}
