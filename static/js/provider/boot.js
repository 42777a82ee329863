/**
 * Starts Python with the provider's packages: from a memory snapshot, or from nothing where that does not fit.
 * Nothing here knows what the provider does.
 *
 * All that is needed is asked for at the same time; all URLs hold a hash, so what is kept is never stale.
 */
import { loadPyodide } from 'pyodide';
import { restore } from '../python/restore.js';
import { forget, keep, kept } from './kept.js';

/** @typedef {import('pyodide').PyodideAPI} Pyodide */
/** @typedef {NonNullable<Parameters<typeof loadPyodide>[0]>} Options */
/** @typedef {Promise<Uint8Array<ArrayBuffer>>} Bytes */

const KEEP_AFTER_MS = 300;
const network = globalThis.fetch.bind(globalThis);

/**
 * @param {import('../messages.js').Settings} settings
 * @param {(line: string) => void} print what Python writes
 * @returns {Promise<{pyodide: Pyodide, slow: string, program?: WebAssembly.Module}>} `slow`: why it had to be started from
 *   nothing, if so; `program`: Pyodide's, when it was compiled here
 * @throws {Error} whose message says what could not be had
 */
export async function boot({ vendor, manifest, snapshot }, print) {
  const indexURL = `${vendor}${manifest.pyodide}`;
  const options = { indexURL, stdout: print, stderr: print };
  const lock = `${vendor}${manifest.python}pyodide-lock.json`;
  if (!snapshot) return { pyodide: await plain(options, lock), slow: 'this page’s address says so' };
  const pieces = new Pieces();
  const bytes = pieces.get(`${indexURL}pyodide.asm.wasm`);
  const packed = pieces.get(`${vendor}${manifest.provider}snapshot.bin`);
  const program = bytes.then((it) => WebAssembly.compile(it));
  const create = emscripten(indexURL);
  for (const promise of [program, create]) promise.catch(() => {}); // told when it is awaited
  const stdlib = () => Promise.allSettled([packed, program]).then(() => pieces.get(`${indexURL}python_stdlib.zip`));
  const known = { 'pyodide.asm.wasm': async () => new Response(''), 'python_stdlib.zip': async () => new Response(await stdlib()) };
  try {
    const pyodide = await answered(known, () => restore(loadPyodide, create, packed, options, program));
    setTimeout(() => void pieces.keep(), KEEP_AFTER_MS);
    return { pyodide, slow: '', program: await program };
  } catch (error) {
    const slow = error instanceof Error ? error.message : String(error);
    await pieces.settled(); // a file that is being read can't be removed
    await forget().catch(() => {}); // there is nothing, or it can't be reached
    return { pyodide: await plain(options, lock), slow };
  }
}

/** What Python is made of: from here or from the network, to be kept here then. */
class Pieces {
  /** @type {Map<string, Bytes>} */
  #all = new Map();
  #fetched = false;

  /** @param {string} url @returns {Bytes} */
  get(url) {
    const bytes = kept(url).then((here) => {
      this.#fetched ||= !here;
      return here ?? fetchBytes(url);
    });
    bytes.catch(() => {}); // told when it is awaited
    this.#all.set(url, bytes);
    return bytes;
  }

  settled() {
    return Promise.allSettled(this.#all.values());
  }

  async keep() {
    const all = this.#fetched ? await Promise.all([...this.#all].map(async ([url, bytes]) => /** @type {const} */ ([url, await bytes]))) : [];
    this.#all.clear();
    if (all.length) await keep(new Map(all));
  }
}

/**
 * Pyodide fetches by itself what we have already.
 * @template T
 * @param {Record<string, () => Promise<Response>>} known by the end of the URL @param {() => Promise<T>} start
 */
async function answered(known, start) {
  const scope = /** @type {any} */ (globalThis);
  const real = scope.fetch;
  scope.fetch = (/** @type {string} */ url, /** @type {RequestInit} */ init) => (known[String(url).split('/').at(-1) ?? ''] ?? (() => network(url, init)))();
  try {
    return await start();
  } finally {
    scope.fetch = real;
  }
}

/** Pyodide's larger half, which is read while its program is being compiled. @param {string} [indexURL] @returns {Promise<import('../python/restore.js').Create>} */
async function emscripten(indexURL) {
  return (await import(`${indexURL}pyodide.asm.mjs`)).default;
}

/** @param {Options} options @param {string} lockFileURL which names our wheels, beside it, and their digests */
async function plain(options, lockFileURL) {
  const createPyodideModule = await emscripten(options.indexURL);
  const pyodide = await loadPyodide(/** @type {any} */ ({ ...options, createPyodideModule, lockFileURL, packages: ['pyodide-provider'] }));
  const missing = Object.keys(pyodide.lockfile.packages).filter((name) => !(name in pyodide.loadedPackages));
  if (missing.length) throw new Error(`${missing.join(', ')} could not be loaded as ${lockFileURL} has it`);
  return pyodide;
}

/** @param {string} url @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function fetchBytes(url) {
  const response = await network(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
