/** Compiled modules, ready to run: looked at once when they are compiled, kept while they are used. */
import { Lru } from '../shared/lru.js';
import { Fault } from './faults.js';

/** @typedef {import('../messages.js').FileField} FileField */

const KEPT_BYTES = 128 << 20; // of wasm; the compiled code is some times larger

export class Programs {
  /** @type {Lru<WebAssembly.Module>} */
  #kept = new Lru(KEPT_BYTES);

  /** @param {import('./blobs.js').Blobs} blobs @param {Record<string, unknown>} offered  names of the functions of WASI */
  constructor(blobs, offered) {
    this.blobs = blobs;
    this.offered = offered;
  }

  /** @param {FileField} binary */
  kept(binary) {
    return 'ref' in binary ? this.#kept.get(binary.ref) : undefined;
  }

  /**
   * @param {FileField} binary
   * @param {Uint8Array<ArrayBuffer>} body of the message that names it
   * @returns {Promise<WebAssembly.Module>}
   * @throws {Fault} when it is no module that we can start  @throws {Broken} when it can't be had now
   */
  async load(binary, body) {
    const { module, size } = await this.#compile(binary, body).catch((error) => {
      throw error instanceof WebAssembly.CompileError ? new Fault(`not a WebAssembly module that this browser can run: ${reason(error)}`) : error;
    });
    check(module, this.offered);
    if ('ref' in binary) this.#kept.set(binary.ref, module, size);
    return module;
  }

  /** @param {FileField} binary @param {Uint8Array<ArrayBuffer>} body */
  async #compile(binary, body) {
    if ('ref' in binary) return this.blobs.compile(binary.ref);
    const [offset, size] = binary.blob;
    return { module: await WebAssembly.compile(body.subarray(offset, offset + size)), size };
  }
}

/** @param {Error} error @returns {string} V8's text without the name of our call */
function reason(error) {
  return error.message.replace(/^WebAssembly\.\w+\(\): /, '');
}

/** @param {WebAssembly.Module} module @param {Record<string, unknown>} offered */
function check(module, offered) {
  const missing = WebAssembly.Module.imports(module).filter((it) => it.module !== 'wasi_snapshot_preview1' || it.kind !== 'function' || !Object.hasOwn(offered, it.name));
  if (missing.length) throw new Fault(`unknown import: ${missing.map((it) => `${it.module}.${it.name} (${it.kind})`).join(', ')}`);
  const start = WebAssembly.Module.exports(module).find((it) => it.name === '_start');
  if (start?.kind !== 'function') throw new Fault('no _start function: the module is not a WASI command');
}
