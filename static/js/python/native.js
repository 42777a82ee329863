/**
 * One Python for one task in a process of its own, under Node. pyodide_provider/native/python/boot.cjs starts it, behind a
 * closed fence and without anything of Node's, and gives it a door: bytes in, bytes out. What goes through are frames of a
 * header (JSON) and a body, as docs/slot-protocol.md has them.
 */
import { loadPyodide } from 'pyodide';
// @ts-ignore - generated, without types
import create from 'pyodide/pyodide.asm.mjs';
import { encode, written } from './ends.js';
import { visible } from './seal.js';
import { Interpreter, join } from './task.js';

/** @typedef {import('../messages.js').Slice} Slice */
/** @typedef {import('../messages.js').PythonOrder} PythonOrder */
/** @typedef {Record<keyof import('../messages.js').PythonParts, any>} Places [offset, length] for each part */
/** @typedef {Omit<import('./task.js').Pieces, 'module'> & {module: WebAssembly.Module | Uint8Array<ArrayBuffer>}} Given */
/** @typedef {(module: WebAssembly.Module) => {code: Uint8Array, bytecode: Uint8Array}} Bake */
/** @typedef {{pieces: Given, read: (bytes: Uint8Array) => void, write: (bytes: Uint8Array) => void, bake?: Bake}} Door */

const NOTHING = new Uint8Array(0);

/** @param {Door} door */
async function serve({ pieces, read, write, bake }) {
  const interpreter = new Interpreter();
  const scope = /** @type {any} */ (globalThis);
  // Pyodide asks for what it was given already.
  scope.fetch = async (/** @type {string} */ url) => {
    const bytes = String(url).endsWith('stdlib.zip') ? pieces.stdlib : NOTHING;
    return { ok: true, status: 200, arrayBuffer: async () => bytes.buffer, text: async () => '' };
  };
  const module = pieces.module instanceof WebAssembly.Module ? pieces.module : await WebAssembly.compile(pieces.module);
  await interpreter.start(/** @type {any} */ (loadPyodide), create, { ...pieces, module }, visible(false));
  // The standard library is put into place behind our back; afterwards nothing is to happen but what the task does.
  await new Promise((resolve) => void setTimeout(resolve, 0));
  delete scope.fetch;
  const tell = (/** @type {unknown} */ header, body = NOTHING) => write(frame(typeof header === 'string' ? header : JSON.stringify(header), body));
  tell({ ready: true, baked: module === pieces.module });
  let message = take(read);
  if (message.kit) {
    interpreter.equip(message.kit, message.parts);
    tell({ ready: true });
    message = take(read);
  }
  const { order, parts } = message;
  let began = performance.now();
  const begin = () => {
    began = performance.now();
    tell({ began: order.key });
  };
  const follow = (/** @type {Uint8Array} */ stdout, /** @type {Uint8Array} */ stderr) => {
    const { header, body } = written(order.key, stdout, stderr);
    tell(header, body);
  };
  const said = await interpreter.run(order, parts, begin, follow);
  const { header, body } = encode(order, said, (performance.now() - began) / 1000);
  tell(header, body);
  if (!bake) return;
  const { code, bytecode } = bake(module);
  const baked = { code: [0, code.length], bytecode: [code.length, bytecode.length] };
  tell({ baked }, join([code, bytecode]));
}

/** @param {string} header @param {Uint8Array} body */
function frame(header, body) {
  const text = new TextEncoder().encode(header);
  const whole = new Uint8Array(8 + text.length + body.length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, text.length, true);
  view.setUint32(4, body.length, true);
  whole.set(text, 8);
  whole.set(body, 8 + text.length);
  return whole;
}

/** @param {Door['read']} read @returns {import('../messages.js').PythonTask & {kit?: import('../messages.js').Kit}} */
function take(read) {
  const sizes = new Uint32Array(2);
  read(new Uint8Array(sizes.buffer));
  const [text, body] = [new Uint8Array(sizes[0]), new Uint8Array(sizes[1])];
  read(text);
  read(body);
  const { places, ...rest } = JSON.parse(new TextDecoder().decode(text));
  return { ...rest, parts: cut(places, body) };
}

/** @param {Places} places @param {Uint8Array} body */
function cut({ refs = [], wheels = [], libraries = [], shared = [], pickle, stdin, rootfs }, body) {
  const part = (/** @type {Slice} */ [offset, length]) => body.subarray(offset, offset + length);
  const maybe = (/** @type {Slice | undefined} */ place) => (place ? part(place) : undefined);
  return { refs, wheels: wheels.map(part), libraries: libraries.map(part), shared: shared.map(part), pickle: maybe(pickle), stdin: maybe(stdin), rootfs: maybe(rootfs) };
}

/** @type {any} */ (globalThis).serve = (/** @type {Door} */ door) =>
  serve(door).catch((error) => door.write(frame(JSON.stringify({ failed: String(error?.message ?? error) }), NOTHING)));
