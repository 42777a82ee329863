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
   * The blob, checked, and its module, compiled while it arrived unless it is to be compiled in another form.
   * @param {string} ref
   * @param {(bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>} form  gives the same bytes to have them as they are
   * @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, compiling: Promise<WebAssembly.Module>}>}
   * @throws {Fault | Broken} as `get`; `compiling` gives WebAssembly.CompileError
   */
  async compile(ref, form) {
    const pushed = this.#pushed.get(ref);
    if (pushed) return { bytes: pushed, compiling: WebAssembly.compile(form(pushed)) };
    const response = await this.#fetch(ref);
    const streams = typeof WebAssembly.compileStreaming === 'function' && response.headers.get('content-type') === 'application/wasm';
    const copy = streams ? response.clone() : response;
    const streamed = streams ? WebAssembly.compileStreaming(response) : undefined;
    streamed?.catch(() => {}); // told when it is awaited; a wrong digest is told first
    const bytes = await body(copy);
    await check(ref, bytes);
    const formed = form(bytes);
    return { bytes, compiling: streamed && formed === bytes ? streamed : WebAssembly.compile(formed) };
  }

  /**
   * Stores what a run leaves behind.
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @returns {Promise<string>} its ref
   * @throws {Fault} when it is too large to be stored  @throws {Broken} when it can't be stored now
   */
  async store(bytes) {
    const url = `${this.storage}/upload?media=application/octet-stream`;
    const response = await fetch(url, { method: 'POST', body: bytes }).catch((error) => {
      throw new Broken(`output could not be stored at ${url}: ${error.message}`);
    });
    const said = (await response.text().catch(() => '')).trim();
    if (response.status === 413) throw new Fault(`the output is too large to be stored: ${bytes.length} bytes; ${said.slice(0, 300)}`);
    if (!response.ok) throw new Broken(`output could not be stored: ${url} answered ${response.status} ${response.statusText}`);
    const ref = `sha256:${await sha256(bytes)}`;
    if (said !== ref) throw new Broken(`output was stored as ${said.slice(0, 80)}, but it is ${ref}`);
    return ref;
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
