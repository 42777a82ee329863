/**
 * Starts Python with the provider's packages: from a memory snapshot, or from nothing where that does not fit.
 * Nothing here knows what the provider does.
 *
 * All that is needed is asked for at the same time; all URLs hold a hash, so what is kept is never stale.
 */
import { loadPyodide } from 'pyodide';
import { restore } from '../python/restore.js';
import { find, forget, keep } from './kept.js';

/** @typedef {import('pyodide').PyodideAPI} Pyodide */
/** @typedef {NonNullable<Parameters<typeof loadPyodide>[0]>} Options */
/** @typedef {Promise<Uint8Array<ArrayBuffer>>} Bytes */

/** After which the rest is done: what the first tasks need comes first. */
const REST_AFTER_MS = 300;
const network = globalThis.fetch.bind(globalThis);

/**
 * @param {import('../messages.js').Settings} settings
 * @param {(line: string) => void} print what Python writes
 * @param {() => void} told all that the next start needs is kept
 * @returns {Promise<{pyodide: Pyodide, slow: string, program?: WebAssembly.Module}>} `slow`: why it had to be started from
 *   nothing, if so; `program`: Pyodide's, when it was compiled here
 * @throws {Error} whose message says what could not be had
 */
export async function boot({ vendor, manifest, snapshot, kept }, print, told) {
  const indexURL = `${vendor}${manifest.pyodide}`;
  const options = { indexURL, stdout: print, stderr: print };
  const lock = `${vendor}${manifest.python}pyodide-lock.json`;
  if (!snapshot) return { pyodide: await plain(options, lock), slow: 'this page’s address says so' };
  const pieces = new Pieces(kept);
  const program = pieces.get(`${indexURL}pyodide.asm.wasm`).then((it) => WebAssembly.compile(it));
  const packed = pieces.get(`${vendor}${manifest.provider}snapshot.bin`);
  const create = emscripten(indexURL);
  for (const promise of [program, create]) promise.catch(() => {}); // told when it is awaited
  /** @type {(library: Bytes) => void} */
  let rest = () => {};
  /** @type {Bytes} */
  const library = new Promise((resolve) => (rest = resolve));
  const known = { 'pyodide.asm.wasm': async () => new Response(''), 'python_stdlib.zip': async () => new Response(await library) };
  try {
    const pyodide = await answered(known, () => restore(loadPyodide, create, packed, options, program));
    setTimeout(() => {
      rest(pieces.get(`${indexURL}python_stdlib.zip`));
      pieces.keep().then((all) => all && told(), () => {}); // a server that is gone: the next start asks again
    }, REST_AFTER_MS);
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

  /** @param {boolean} kept whether it is worth while to look for them here */
  constructor(kept) {
    this.kept = kept;
  }

  /** @param {string} url @returns {Bytes} */
  get(url) {
    const bytes = this.#find(url);
    bytes.catch(() => {}); // told when it is awaited
    this.#all.set(url, bytes);
    return bytes;
  }

  /** @param {string} url */
  async #find(url) {
    const here = this.kept ? await find(url) : null;
    this.#fetched ||= !here;
    return here ?? fetchBytes(url);
  }

  settled() {
    return Promise.allSettled(this.#all.values());
  }

  /** Whether all of it is here afterwards. */
  async keep() {
    const all = await Promise.all([...this.#all].map(async ([url, bytes]) => /** @type {const} */ ([url, await bytes])));
    this.#all.clear();
    return !this.#fetched || keep(new Map(all));
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

/**
 * Pyodide's larger half. It is no part of this worker's script: parsing it would come before all else.
 * @param {string} [indexURL] @returns {Promise<import('../python/restore.js').Create>}
 */
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

/** @param {string} url @returns {Bytes} */
async function fetchBytes(url) {
  const response = await network(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
