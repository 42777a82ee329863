/** The provider's snapshot, restored in Node: what is in it, and what must not be. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { read, restore } from '../../static/js/python/restore.js';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const VENDOR = join(ROOT, 'static', 'vendor');
const manifest = JSON.parse(readFileSync(join(VENDOR, 'manifest.json'), 'utf8'));
const [packed, tasks] = [manifest.provider, manifest.tasks].map((folder) => new Uint8Array(readFileSync(join(VENDOR, folder, 'snapshot.bin'))));
const indexURL = join(VENDOR, manifest.pyodide);
const { loadPyodide } = await import(join(indexURL, 'pyodide.mjs'));
const create = import(join(indexURL, 'pyodide.asm.mjs')).then((module) => module.default);

const python = (from = packed) => restore(loadPyodide, create, Promise.resolve(from), { indexURL });

test('all of the provider is there, and works', async () => {
  const pyodide = await python();
  assert.equal(pyodide.runPython('import sys; "pyodide_provider.browser.main" in sys.modules'), true);
  assert.equal(pyodide.runPython('from pyodide_provider.wire import codec, messages_pb2 as pb; codec.event(0, pb.Ping()).hex()[:4]'), '0800');
  assert.equal(typeof pyodide.runPython('import js; js.performance.now()'), 'number');
});

test('nothing is in it that is to be different in each tab, but the state of random, which is sown anew', async () => {
  const pyodide = await python();
  const taken = 'import sys; [name for name in ("uuid", "secrets", "multiprocessing", "http.cookiejar") if name in sys.modules]';
  assert.deepEqual(pyodide.runPython(taken).toJs(), []);
  assert.equal(pyodide.runPython('import sys; sys.modules["tempfile"]._name_sequence if "tempfile" in sys.modules else None'), undefined);
  const sown = 'import random\nfrom pyodide_provider.browser import main\nbefore = random.getstate()\nmain.sow()\nbefore != random.getstate()';
  assert.equal(pyodide.runPython(sown), true);
});

test('a task finds imported what most import, and nothing that is to be different in each', async () => {
  const pyodide = await python(tasks);
  const there = (/** @type {string} */ names) => pyodide.runPython(`import sys; [name for name in "${names}".split() if name in sys.modules]`).toJs();
  const most = 'pyodide_provider.guest cloudpickle json dataclasses datetime decimal zoneinfo urllib.parse hashlib csv';
  assert.deepEqual(there(most), most.split(' '));
  assert.deepEqual(there('secrets multiprocessing http.cookiejar'), []);
  assert.equal(pyodide.runPython('import decimal; str(decimal.Decimal(1) / 7)'), '0.1428571428571428571428571429');
});

test('where it was built is not in it', () => {
  for (const bytes of [packed, tasks]) assert.equal(Buffer.from(bytes).indexOf(ROOT), -1);
});

test('a snapshot that is none, or cut off, is refused', () => {
  assert.throws(() => read(new Uint8Array(8)), /no memory snapshot/);
  assert.throws(() => read(packed.subarray(4)), /no memory snapshot/);
  assert.throws(() => read(packed.subarray(0, packed.length - 1)), /cut off/);
  assert.throws(() => read(packed.subarray(0, 1 << 20)), /cut off/);
});
