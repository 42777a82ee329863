/** How a Python run ended, in the slot protocol's form. What a task's worker says is checked: anything may come from there. */
import { Fault } from '../wasi/faults.js';

/** @typedef {import('../messages.js').PythonOrder} PythonOrder */
/** @typedef {{header: string, body: Uint8Array<ArrayBuffer>}} Message */

const PARTS = ['value', 'stdout', 'stderr', 'artifacts', 'exception'];
const TEXT = 64 << 10; // characters of an error
const SLACK = 256 << 20; // bytes of value, artifacts and streams together

/**
 * @param {PythonOrder} order @param {any} said @param {number} seconds
 * @returns {Message}
 */
export function encode({ key }, said, seconds) {
  /** @type {Record<string, unknown>} */
  const end = { key, seconds };
  /** @type {Uint8Array[]} */
  const parts = [];
  let length = 0;
  for (const name of PARTS) {
    const part = said[name];
    if (!(part instanceof Uint8Array) || !part.length) continue;
    end[name] = [length, part.length];
    parts.push(part);
    length += part.length;
  }
  if (length > SLACK) return failed(key, new Fault(`the outcome is too large: ${length} bytes`));
  if (said.error !== undefined) end.error = shortened(String(said.error));
  else end.version = typeof said.version === 'string' ? said.version.slice(0, 100) : '?';
  if (Number.isSafeInteger(said.memory) && said.memory > 0) end.usage = { cpu: seconds, memory: said.memory };
  const body = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return { header: JSON.stringify({ ended: [end] }), body };
}

/** @param {number} key @param {Uint8Array} stdout @param {Uint8Array} stderr @returns {Message} */
export function written(key, stdout, stderr) {
  const body = new Uint8Array(stdout.length + stderr.length);
  body.set(stdout);
  body.set(stderr, stdout.length);
  const output = { key, stdout: [0, stdout.length], stderr: [stdout.length, stderr.length] };
  return { header: JSON.stringify({ output }), body };
}

/** @param {string} error */
function shortened(error) {
  return error.length > TEXT ? `${error.slice(0, TEXT / 2)}\n…\n${error.slice(-TEXT / 2)}` : error;
}

/**
 * @param {number} key @param {any} error Fault: the task's own
 * @returns {Message}
 */
export function failed(key, error) {
  const text = String(error?.message ?? error);
  const end = { key, seconds: 0, ...(error instanceof Fault ? { error: text } : { broken: text }) };
  return { header: JSON.stringify({ ended: [end] }), body: new Uint8Array(0) };
}
