/** Blobs by digest: those that were pushed here, all others from the broker's storage. The digest is always checked. */
import { sha256 } from '../shared/sha256.js';
import { Lru } from '../shared/lru.js';
import { Broken, Fault } from './faults.js';

const PUSHED_BYTES = 64 << 20;

export class Blobs {
  /** @type {Lru<Uint8Array<ArrayBuffer>>} */
  #pushed = new Lru(PUSHED_BYTES);

  /** @param {string} storage */
  constructor(storage) {
    this.storage = storage;
  }

  /** @param {string} ref @param {Uint8Array<ArrayBuffer>} bytes */
  async push(ref, bytes) {
    await check(ref, bytes);
    this.#pushed.set(ref, bytes, bytes.length);
  }

  /**
   * @param {string} ref
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   * @throws {Fault} when the storage has no such blob  @throws {Broken} when it can't be had now
   */
  async get(ref) {
    const pushed = this.#pushed.get(ref);
    if (pushed) return pushed;
    const bytes = await body(await this.#fetch(ref));
    await check(ref, bytes);
    return bytes;
  }

  /**
   * The blob, checked, and its module, compiled while it arrived.
   * @param {string} ref
   * @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, compiling: Promise<WebAssembly.Module>}>}
   * @throws {Fault | Broken} as `get`; `compiling` gives WebAssembly.CompileError
   */
  async compile(ref) {
    const pushed = this.#pushed.get(ref);
    if (pushed) return { bytes: pushed, compiling: WebAssembly.compile(pushed) };
    const response = await this.#fetch(ref);
    const streams = typeof WebAssembly.compileStreaming === 'function' && response.headers.get('content-type') === 'application/wasm';
    const copy = streams ? response.clone() : response;
    const streamed = streams ? WebAssembly.compileStreaming(response) : undefined;
    streamed?.catch(() => {}); // told when it is awaited; a wrong digest is told first
    const bytes = await body(copy);
    await check(ref, bytes);
    return { bytes, compiling: streamed ?? WebAssembly.compile(bytes) };
  }

  /** @param {string} ref */
  async #fetch(ref) {
    const url = `${this.storage}/${ref}`;
    const response = await fetch(url).catch((error) => {
      throw new Broken(`${ref} could not be fetched from ${url}: ${error.message}`);
    });
    if (response.status === 404) throw new Fault(`Ref not found in storage: ${ref}`);
    if (!response.ok) throw new Broken(`${ref} could not be fetched: ${url} answered ${response.status} ${response.statusText}`);
    return response;
  }
}

/** @param {Response} response */
async function body(response) {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Broken(`${response.url} broke off: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {string} ref @param {Uint8Array<ArrayBuffer>} bytes */
async function check(ref, bytes) {
  const digest = `sha256:${await sha256(bytes)}`;
  if (digest !== ref) throw new Broken(`${ref} was fetched, but its bytes are ${digest}`);
}
