/**
 * Makes memory snapshots of a Python that has everything imported: a tab restores one in a fraction of a plain start.
 *
 * Packed form (static/js/python/restore.js reads it), little endian: u32 magic, size of the heap, length of the head, number
 * of spans; the head (Pyodide's own header: which build, which objects); the spans (u32 offset, length); their bytes.
 * What lies outside of the spans is as in a new instance: from the program's data, or zero.
 */
import { join } from 'node:path';

const MAGIC = 0x504e5357; // "WSNP"
const PAGE = 1024;

/** Unpacking uses tempfile, whose own random numbers every restored Python would share. */
const TIDY = `
import gc, linecache, sys, tempfile
tempfile._name_sequence = None
linecache.clearcache()
sys.path_importer_cache.clear()
gc.collect()
del gc, linecache, sys, tempfile
`;

/**
 * @param {string} folder with Pyodide, as snapshots of it will be restored
 * @param {Iterable<Uint8Array>} archives zips or wheels to unpack into site-packages first
 * @param {string} script that imports what is to be there; it must leave no JavaScript object referenced
 * @returns {Promise<Uint8Array>}
 */
export async function snapshot(folder, archives, script) {
  const { loadPyodide } = await import(join(folder, 'pyodide.mjs'));
  // A program knows what started it, and would tell all the world where that is on this machine.
  process.argv[1] = '/usr/bin/python3';
  const pyodide = await loadPyodide({ indexURL: folder, _makeSnapshot: true });
  const sitePackages = pyodide.runPython('import site; site.getsitepackages()[0]');
  for (const archive of archives) pyodide.unpackArchive(Uint8Array.from(archive), 'zip', { extractDir: sitePackages });
  pyodide.runPython(script);
  pyodide.runPython(TIDY);
  sweep(/** @type {any} */ (pyodide)._module);
  return pack(/** @type {any} */ (pyodide).makeMemorySnapshot(), await blank(folder));
}

/**
 * The memory of a new instance: after its program was instantiated, and when it can be restored. What its start changes is in
 * both, so that it can be told from what is the same in each instance.
 * @param {string} folder with Pyodide
 * @returns {Promise<[Uint8Array, Uint8Array]>}
 */
async function blank(folder) {
  const { loadPyodide } = await import(join(folder, 'pyodide.mjs'));
  const { default: create } = await import(join(folder, 'pyodide.asm.mjs'));
  /** @type {Uint8Array[]} */
  const seen = [];
  const createPyodideModule = async (/** @type {any} */ settings) => {
    const instantiate = settings.instantiateWasm;
    settings.instantiateWasm = (/** @type {any} */ imports, /** @type {(...made: any[]) => void} */ done) =>
      instantiate(imports, (/** @type {WebAssembly.Instance} */ instance, /** @type {WebAssembly.Module} */ module) => {
        seen.push(new Uint8Array(/** @type {any} */ (instance.exports).memory.buffer).slice());
        done(instance, module);
      });
    seen.push((await create(settings)).HEAPU8.slice());
    throw new Error('enough is seen');
  };
  const ended = loadPyodide(/** @type {any} */ ({ indexURL: folder, _loadSnapshot: new Uint8Array(4096), createPyodideModule }));
  await ended.catch((/** @type {unknown} */ error) => {
    if (seen.length !== 2) throw error;
  });
  return [seen[0], seen[1]];
}

/**
 * Overwrites free memory with zeros, which are not packed: what compiling and importing left there is two fifths of all.
 * @param {any} module Emscripten's
 */
function sweep(module) {
  const end = module._sbrk(0);
  /** @type {[number, number][]} */
  const taken = [];
  for (let size = 1 << 20; size >= 256; size /= 2) {
    let at;
    do {
      at = module._malloc(size);
      if (!at) throw new Error('no memory left to sweep');
      taken.push([at, size]);
    } while (at + size <= end);
  }
  for (const [at, size] of taken) module.HEAPU8.fill(0, at, at + size);
  for (const [at] of taken) module._free(at);
}

/** @param {Uint8Array} made by Pyodide: its head, then the whole heap @param {[Uint8Array, Uint8Array]} blank */
function pack(made, blank) {
  const begin = new DataView(made.buffer, made.byteOffset).getUint32(4, true);
  const heap = made.subarray(begin);
  const spans = [...used(heap, blank)];
  const head = Buffer.alloc(16 + begin + spans.length * 8);
  [MAGIC, heap.length, begin, spans.length].forEach((value, index) => head.writeUInt32LE(value, index * 4));
  head.set(made.subarray(0, begin), 16);
  spans.forEach(([offset, length], index) => {
    head.writeUInt32LE(offset, 16 + begin + index * 8);
    head.writeUInt32LE(length, 20 + begin + index * 8);
  });
  return Buffer.concat([head, ...spans.map(([offset, length]) => heap.subarray(offset, offset + length))]);
}

/**
 * @param {Uint8Array} heap @param {[Uint8Array, Uint8Array]} blank
 * @returns {Generator<[number, number]>} runs of pages that are not as in every new instance
 */
function* used(heap, blank) {
  const nothing = new Uint8Array(PAGE);
  let since = -1;
  for (let page = 0; page <= heap.length; page += PAGE) {
    const of = (/** @type {Uint8Array} */ memory) => (page < memory.length ? memory.subarray(page, page + PAGE) : nothing);
    const known = page === heap.length || blank.every((memory) => Buffer.compare(of(heap), of(memory)) === 0);
    if (known && since >= 0) yield [since, page - since];
    if (known) since = -1;
    else if (since < 0) since = page;
  }
}
