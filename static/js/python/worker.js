/** The script of a worker with one Python for one task. Built into one file, so that its content security policy needs no source. */
import { loadPyodide } from 'pyodide';
// @ts-ignore - generated, without types
import create from 'pyodide/pyodide.asm.mjs';
import { quiet, seal, visible } from './seal.js';
import { Interpreter } from './task.js';

const scope = /** @type {import('../messages.js').WorkerScope & typeof globalThis} */ (/** @type {unknown} */ (globalThis));
const post = scope.postMessage.bind(scope);
const interpreter = new Interpreter();

/** @param {import('../messages.js').PythonStart} start */
async function prepare({ pieces, network }) {
  quiet();
  const js = visible(network);
  const real = scope.fetch;
  // Pyodide asks for what it was given already.
  const stdlib = async () => new Uint8Array(pieces.stdlib).buffer;
  scope.fetch = /** @type {any} */ (async (/** @type {string} */ url) =>
    String(url).endsWith('stdlib.zip') ? { ok: true, status: 200, arrayBuffer: stdlib } : { ok: true, status: 200, text: async () => '' });
  await interpreter.start(/** @type {any} */ (loadPyodide), create, pieces, js);
  scope.fetch = real;
  seal(network);
  post({ ready: true });
}

/** @param {import('../messages.js').PythonKit} task */
async function equip({ kit, parts }) {
  interpreter.equip(kit, parts);
  post({ ready: true });
}

/** @param {import('../messages.js').PythonTask} task */
async function work({ order, parts }) {
  const end = await interpreter.run(order, parts, () => post({ began: true }), (stdout, stderr) => post({ stdout, stderr }));
  post({ end });
}

/** @param {unknown} error */
function fail(error) {
  post({ failed: error instanceof Error ? error.message : String(error) });
}

scope.onmessage = (/** @type {MessageEvent} */ { data }) => void (data.pieces ? prepare(data) : data.kit ? equip(data) : work(data)).catch(fail);
