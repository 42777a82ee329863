/**
 * Starts Pyodide from a memory snapshot that scripts/snapshot.mjs has packed. The same in a tab and in Node.
 *
 * Pyodide restores a snapshot that it is given whole, into a heap that must be as large already; ours is packed, may come while
 * the interpreter is being instantiated, and its heap is grown here.
 */

/** @typedef {import('pyodide').PyodideAPI} Pyodide */
/** @typedef {typeof import('pyodide').loadPyodide} LoadPyodide */
/** @typedef {Record<string, any>} Module Emscripten's, which Pyodide leaves untyped */
/** @typedef {(settings: Module) => Promise<Module>} Create */
/** @typedef {{head: Uint8Array<ArrayBuffer>, size: number, spans: Uint32Array, bytes: Uint8Array}} Snapshot */

const MAGIC = 0x504e5357;
const HEAD = 4096;

/**
 * @param {Uint8Array} packed
 * @returns {Snapshot}
 * @throws {Error} when it is none
 */
export function read(packed) {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  if (packed.length < 16 || view.getUint32(0, true) !== MAGIC) throw new Error('it is no memory snapshot');
  const [size, head, count] = [4, 8, 12].map((at) => view.getUint32(at, true));
  const spans = new Uint32Array(packed.slice(16 + head, 16 + head + count * 8).buffer);
  const bytes = packed.subarray(16 + head + count * 8);
  let length = 0;
  for (let index = 1; index < spans.length; index += 2) length += spans[index];
  if (head > HEAD || spans.length !== count * 2 || length !== bytes.length) throw new Error('the memory snapshot is cut off');
  return { head: packed.slice(16, 16 + head), size, spans, bytes };
}

/** @param {Module} module that is new: what is in no span is in it already @param {Snapshot} snapshot */
function fill(module, { size, spans, bytes }) {
  if (module.HEAPU8.length < size) module._emscripten_resize_heap(size);
  /** @type {Uint8Array} */
  const heap = module.HEAPU8;
  if (heap.length < size) throw new Error(`no memory for Python: ${size} bytes`);
  let at = 0;
  for (let index = 0; index < spans.length; index += 2) {
    const [offset, length] = [spans[index], spans[index + 1]];
    heap.set(bytes.subarray(at, at + length), offset);
    at += length;
  }
}

/**
 * @param {LoadPyodide} loadPyodide
 * @param {Promise<Create>} create the default export of pyodide.asm.mjs
 * @param {Promise<Uint8Array>} packed
 * @param {Parameters<LoadPyodide>[0]} options
 * @param {Promise<WebAssembly.Module>} [program] Pyodide's, compiled; without it Pyodide gets it by itself
 * @param {(imports: any) => void} [adapt] changes what that imports
 * @returns {Promise<Pyodide>} whose standard library may still be on its way: what the snapshot has imported is there
 */
export async function restore(loadPyodide, create, packed, options, program, adapt) {
  // Pyodide looks at the head only after the module is there; until then it may be empty.
  const head = new Uint8Array(HEAD);
  /** @type {Create} */
  const createPyodideModule = async (settings) => {
    settings.preRun[0] = unhurried(settings.preRun[0]);
    // Emscripten waits for ever where its program can't be had.
    const broken = program ? give(settings, program, adapt) : new Promise(() => {});
    const [module, snapshot] = await Promise.all([Promise.race([create.then((it) => it(settings)), broken]), packed.then(read)]);
    fill(module, snapshot);
    importAtOnce(module);
    head.set(snapshot.head);
    new DataView(head.buffer).setUint32(4, HEAD, true); // where the heap begins: there is none in here
    return module;
  };
  return loadPyodide(/** @type {any} */ ({ ...options, _loadSnapshot: head, createPyodideModule }));
}

/**
 * Has Emscripten take a program that is compiled already.
 * @param {Module} settings @param {Promise<WebAssembly.Module>} program @param {(imports: any) => void} [adapt]
 * @returns {Promise<never>} which tells what goes wrong
 */
function give(settings, program, adapt) {
  return new Promise((_, reject) => {
    settings.instantiateWasm = (/** @type {any} */ imports, /** @type {(instance: WebAssembly.Instance, module: WebAssembly.Module) => void} */ done) => {
      const error = Symbol('error');
      imports.env.Jsv_GetError_import = () => error;
      imports.env.JsvError_Check = (/** @type {unknown} */ value) => (value === error ? 1 : 0);
      adapt?.(imports);
      program.then(async (module) => done(await WebAssembly.instantiate(module, imports), module)).catch(reject);
      return {};
    };
  });
}

/** Pyodide imports its core by a line of Python: without that, a restored interpreter starts without its compiler. @param {Module} module */
function importAtOnce(module) {
  const { API } = module;
  const run = API.rawRun;
  API.rawRun = (/** @type {string} */ code) => {
    const at = module.stringToNewUTF8(/^import (\w+)$/.exec(code)?.[1] ?? '');
    const found = module._PyImport_ImportModule(at);
    module._free(at);
    if (found) return [0, ''];
    module._PyErr_Clear();
    return run(code);
  };
}

/**
 * The standard library is put into place when it comes, instead of everything waiting for it.
 * @param {(module: Module) => unknown} installStdlib
 */
function unhurried(installStdlib) {
  const nothing = { value: () => {} };
  return (/** @type {Module} */ module) => void installStdlib(Object.create(module, { addRunDependency: nothing, removeRunDependency: nothing }));
}

