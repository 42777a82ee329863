/** Pyodide's slimmed JavaScript: what is put off is done when it is needed, and what it does not know it refuses. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { slimLoader, slimProgram } from '../../scripts/slim_pyodide.mjs';
import { restore } from '../../static/js/python/restore.js';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const VENDOR = join(ROOT, 'static', 'vendor');
const manifest = JSON.parse(readFileSync(join(VENDOR, 'manifest.json'), 'utf8'));
const indexURL = join(VENDOR, manifest.pyodide);
const packed = new Uint8Array(readFileSync(join(VENDOR, manifest.tasks, 'snapshot.bin')));
const original = (/** @type {string} */ name) => readFileSync(join(ROOT, 'node_modules', 'pyodide', name), 'utf8');

async function python() {
  const { loadPyodide } = await import(join(indexURL, 'pyodide.mjs'));
  const create = import(join(indexURL, 'pyodide.asm.mjs')).then((module) => module.default);
  return restore(loadPyodide, create, Promise.resolve(packed), { indexURL });
}

/** A dynamic library (dylink.0) that imports PyLong_FromLong, by name and as a pointer, and Py_None's address. */
function library() {
  const name = (/** @type {string} */ text) => [text.length, ...Buffer.from(text)];
  const section = (/** @type {number} */ id, /** @type {number[]} */ body) => [id, body.length, ...body];
  const imports = [3, ...name('env'), ...name('PyLong_FromLong'), 0, 0, ...name('GOT.func'), ...name('PyLong_FromLong'), 3, 0x7f, 1, ...name('GOT.mem'), ...name('_Py_NoneStruct'), 3, 0x7f, 1];
  const bodies = [[0, 0x23, 0, 0x0b], [0, 0x23, 1, 0x0b], [0, 0x41, 7, 0x10, 0, 0x0b]].flatMap((it) => [it.length, ...it]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(0, [...name('dylink.0'), 1, 4, 0, 0, 0, 0]),
    ...section(1, [2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 0, 1, 0x7f]),
    ...section(2, imports),
    ...section(3, [3, 1, 1, 1]),
    ...section(7, [3, ...name('pointer'), 0, 1, ...name('none'), 0, 2, ...name('seven'), 0, 3]),
    ...section(10, [3, ...bodies]),
  ]);
}

test('a library finds the functions and data of the program', async () => {
  const pyodide = await python();
  pyodide.FS.writeFile('/lib.so', library());
  const asked = `
import ctypes
lib = ctypes.CDLL("/lib.so")
lib.seven.restype = ctypes.py_object
by_pointer = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_long)(lib.pointer())
(lib.seven(), by_pointer(8), lib.none() == id(None), by_pointer(9))`;
  assert.deepEqual(pyodide.runPython(asked).toJs(), [7, 8, true, 9]);
});

test('a function of the program is found by its name', async () => {
  const asked = 'import ctypes\nmake = ctypes.pythonapi.PyLong_FromLong\nmake.restype = ctypes.py_object\nmake(5)';
  assert.equal((await python()).runPython(asked), 5);
});

test('what nobody names has no variable, and nearly all is so', () => {
  const slim = slimProgram(original('pyodide.asm.mjs'), ['module._sbrk()']);
  assert.ok(slim.length < 0.7 * original('pyodide.asm.mjs').length);
  assert.match(slim, /Module\["_sbrk"\]=wasmExports/);
  assert.doesNotMatch(slim, /_PyList_Reverse/);
});

test('Pyodide of another make is refused', () => {
  assert.throws(() => slimProgram(original('pyodide.asm.mjs').replaceAll('updateGOT', 'update'), []), /another make.*updateGOT/);
  assert.throws(() => slimProgram('export default 1', []), /another make.*exports/);
  assert.throws(() => slimLoader('export default 1'), /another make/);
});
