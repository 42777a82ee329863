/** A task as the form describes it, sent to the broker as JSON (the Connect protocol, protojson). */
import { fromBase64, toBase64 } from './bytes.js';
import { split } from './words.js';

/**
 * @typedef {object} Task
 * @property {string} binary  digest or name of what is stored
 * @property {string} program  argv[0]
 * @property {string[]} args  the rest of argv
 * @property {string[]} envs
 * @property {string} stdin
 * @property {string} rootfs  digest or name, or ""
 * @property {string[]} artifacts
 */

/**
 * @typedef {object} Result
 * @property {string} provider
 * @property {string} error  "" when the program ran to its end
 * @property {number} status
 * @property {Uint8Array<ArrayBuffer>} stdout
 * @property {Uint8Array<ArrayBuffer>} stderr
 * @property {Uint8Array<ArrayBuffer>} artifacts
 * @property {number} seconds
 */

export const METHOD = '/api/client/wasimoff.v1.Tasks/RunWasip1';

/**
 * @param {{binary: string, program: string, args: string, envs: string, stdin: string, rootfs: string, artifacts: string}} fields as typed
 * @returns {Task}
 * @throws {Error} in words, when something is missing or wrong
 */
export function taskOf(fields) {
  const binary = fields.binary.trim();
  if (!binary) throw new Error('Choose a program first: drop a .wasm file, or give the digest of one that is stored.');
  const envs = lines(fields.envs);
  const wrong = envs.find((line) => line.indexOf('=') < 1);
  if (wrong !== undefined) throw new Error(`Environment: “${wrong}” is not of the form NAME=value.`);
  return {
    binary,
    program: fields.program || (binary.startsWith('sha256:') ? 'main.wasm' : binary),
    args: split(fields.args),
    envs,
    stdin: fields.stdin,
    rootfs: fields.rootfs.trim(),
    artifacts: lines(fields.artifacts),
  };
}

/** @param {string} text */
function lines(text) {
  return text.split('\n').map((line) => line.replace(/\r$/, '')).filter((line) => line.trim());
}

/** The request's JSON. @param {Task} task */
export function requestOf(task) {
  return {
    params: {
      binary: { ref: task.binary },
      args: [task.program, ...task.args],
      ...(task.envs.length && { envs: task.envs }),
      ...(task.stdin && { stdin: toBase64(new TextEncoder().encode(task.stdin)) }),
      ...(task.rootfs && { rootfs: { ref: task.rootfs } }),
      ...(task.artifacts.length && { artifacts: task.artifacts }),
    },
  };
}

/**
 * Runs a task.
 * @param {Task} task @param {AbortSignal} signal
 * @returns {Promise<Result>}
 * @throws {Error} in words, when there is no answer
 */
export async function runTask(task, signal) {
  const began = performance.now();
  const response = await fetch(METHOD, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Connect-Protocol-Version': '1' },
    body: JSON.stringify(requestOf(task)),
    signal,
  }).catch((error) => {
    throw signal.aborted ? new Error('Cancelled.') : new Error(`The broker can’t be reached: ${error.message}.`);
  });
  const answer = await response.json().catch(() => {
    throw signal.aborted ? new Error('Cancelled.') : new Error(`The broker answered ${response.status} ${response.statusText}, and not in JSON.`);
  });
  if (!response.ok) throw new Error(refusal(answer));
  return resultOf(answer, (performance.now() - began) / 1000);
}

/** @param {{code?: string, message?: string}} answer an error of the Connect protocol */
function refusal({ code, message }) {
  const text = message || 'no reason was given';
  return code ? `${text} (${code.replaceAll('_', ' ')})` : text;
}

/** @param {any} answer a Task.Wasip1.Response as JSON @param {number} seconds @returns {Result} */
function resultOf({ info, error, ok }, seconds) {
  return {
    provider: info?.provider ?? '',
    error: ok ? '' : error || 'the answer holds neither a result nor an error',
    status: ok?.status ?? 0,
    stdout: fromBase64(ok?.stdout),
    stderr: fromBase64(ok?.stderr),
    artifacts: fromBase64(ok?.artifacts?.blob),
    seconds,
  };
}
