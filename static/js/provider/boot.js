/**
 * Starts Python: Pyodide, with the provider's packages unpacked. Nothing here knows what the provider does.
 *
 * The interpreter and the packages are fetched at the same time; all URLs hold a hash, so caches are never stale.
 */

/** @typedef {import('pyodide').PyodideAPI} Pyodide */
/** @typedef {typeof import('pyodide').loadPyodide} LoadPyodide */

/**
 * @param {string} vendor absolute URL of static/vendor/
 * @param {import('../messages.js').Manifest} manifest
 * @param {(line: string) => void} print what Python writes
 * @returns {Promise<Pyodide>}
 * @throws {Error} whose message says what could not be had
 */
export async function boot(vendor, manifest, print) {
  const packages = fetchBytes(`${vendor}${manifest.python}python.zip`);
  packages.catch(() => {}); // told when it is awaited
  const indexURL = `${vendor}${manifest.pyodide}`;
  const { loadPyodide } = /** @type {{loadPyodide: LoadPyodide}} */ (await import(`${indexURL}pyodide.mjs`));
  const pyodide = await loadPyodide({ indexURL, stdout: print, stderr: print });
  const sitePackages = pyodide.runPython('import site; site.getsitepackages()[0]');
  pyodide.unpackArchive(await packages, 'zip', { extractDir: sitePackages });
  return pyodide;
}

/** @param {string} url @returns {Promise<ArrayBuffer>} */
async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}
