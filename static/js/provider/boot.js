/**
 * Starts Python with the provider's packages: from a memory snapshot, or from nothing where that does not fit.
 * Nothing here knows what the provider does.
 *
 * All that is needed is fetched at the same time; all URLs hold a hash, so caches are never stale.
 */
import { restore } from '../python/restore.js';

/** @typedef {import('pyodide').PyodideAPI} Pyodide */
/** @typedef {typeof import('pyodide').loadPyodide} LoadPyodide */
/** @typedef {NonNullable<Parameters<LoadPyodide>[0]>} Options */

/**
 * @param {import('../messages.js').Settings} settings
 * @param {(line: string) => void} print what Python writes
 * @returns {Promise<{pyodide: Pyodide, slow: string}>} `slow`: why it had to be started from nothing, if so
 * @throws {Error} whose message says what could not be had
 */
export async function boot({ vendor, manifest, snapshot }, print) {
  const indexURL = `${vendor}${manifest.pyodide}`;
  const create = import(`${indexURL}pyodide.asm.mjs`).then((module) => module.default);
  const bytes = fetchBytes(snapshot ? `${vendor}${manifest.provider}snapshot.bin` : `${vendor}${manifest.python}python.zip`);
  for (const promise of [create, bytes]) promise.catch(() => {}); // told when it is awaited
  const { loadPyodide } = /** @type {{loadPyodide: LoadPyodide}} */ (await import(`${indexURL}pyodide.mjs`));
  const options = { indexURL, stdout: print, stderr: print };
  if (!snapshot) return { pyodide: await plain(loadPyodide, options, bytes), slow: 'this page’s address says so' };
  try {
    return { pyodide: await restore(loadPyodide, create, bytes, options), slow: '' };
  } catch (error) {
    const slow = error instanceof Error ? error.message : String(error);
    return { pyodide: await plain(loadPyodide, options, fetchBytes(`${vendor}${manifest.python}python.zip`)), slow };
  }
}

/** @param {LoadPyodide} loadPyodide @param {Options} options @param {Promise<Uint8Array>} packages a zip */
async function plain(loadPyodide, options, packages) {
  packages.catch(() => {});
  const pyodide = await loadPyodide(options);
  const sitePackages = pyodide.runPython('import site; site.getsitepackages()[0]');
  pyodide.unpackArchive(await packages, 'zip', { extractDir: sitePackages });
  return pyodide;
}

/** @param {string} url @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
