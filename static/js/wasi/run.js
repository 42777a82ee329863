/** One run, from its module to its end. Synchronous: nothing else happens in this worker meanwhile. */
import { collect } from './artifacts.js';
import { wallTime } from './clock.js';
import { Broken, Fault, trapText } from './faults.js';
import { RunDirectory } from './files.js';
import { Budget, memoryFault } from './limits.js';
import { OpenDirectory } from './open.js';
import { moduleName } from './sections.js';
import { Output } from './streams.js';
import { Exit } from './system_calls.js';

const NO_MEMORY = /allocation failed|could not allocate|cannot allocate|out of memory/i;
const STDERR_TAIL = 2000; // bytes of stderr that are told with a trap

// The innermost frames of a trap's stack may have no name: then those above them are told.
/** @type {{stackTraceLimit?: number}} */ (Error).stackTraceLimit = 64;

/**
 * @typedef {object} Given  what a run is made of, all at hand
 * @property {WebAssembly.Module} module
 * @property {string[]} args
 * @property {string[]} envs
 * @property {string[]} artifacts
 * @property {import('./streams.js').Stream} stdin
 * @property {import('./tree.js').Tree | null} root
 * @property {import('./limits.js').RunLimits} limits
 * @property {(stdout: Output, stderr: Output) => void} begin  called when the program is about to start
 */

/**
 * @typedef {object} End
 * @property {number} [status]
 * @property {Uint8Array | {ref: string}} [stdout]
 * @property {Uint8Array | {ref: string}} [stderr]
 * @property {Uint8Array | {ref: string}} [artifacts]
 * @property {string} [error]
 * @property {string} [broken]
 */

/** @typedef {{root: RunDirectory, stdout: Output, stderr: Output}} Ready */
/** @typedef {{end: End, seconds: number, cpu: number, memory: number}} Ran  seconds of the program alone, bytes of its memory */

/** @param {import('./host.js').Host} host @param {Given} given @returns {Ran} */
export function execute(host, given) {
  const ready = prepare(host, given);
  const from = performance.now();
  const { outcome, memory } = start(host, given.module);
  const took = performance.now() - from;
  host.sleep?.clear();
  return conclude(ready, given, outcome, { seconds: took / 1000, cpu: Math.max(took - host.slept, 0) / 1000, memory });
}

/** Gives the host what a run is given. @param {import('./host.js').Host} host @param {Given} given @returns {Ready} */
export function prepare(host, given) {
  const { limits } = given;
  const output = new Budget('output', limits.output);
  const [stdout, stderr] = [new Output(output), new Output(output)];
  const began = wallTime();
  const root = new RunDirectory(given.root, { budget: new Budget('files', limits.files), began }, began, null);
  host.begin(given.args, given.envs, [given.stdin, stdout, stderr, new OpenDirectory(root, '/')]);
  given.begin(stdout, stderr);
  return { root, stdout, stderr };
}

/**
 * What a run that is over comes to.
 * @param {Ready} ready @param {Given} given @param {{status: number} | {thrown: unknown}} outcome
 * @param {{seconds: number, cpu: number, memory: number}} measured @returns {Ran}
 */
export function conclude({ root, stdout, stderr }, given, outcome, measured) {
  try {
    if ('thrown' in outcome) throw outcome.thrown;
    return { end: leftBehind(outcome.status, root, given, stdout, stderr), ...measured };
  } catch (thrown) {
    return { end: withTail(why(thrown, given, measured.memory), thrown, stderr.bytes), ...measured };
  }
}

/**
 * @param {import('./host.js').Host} host @param {WebAssembly.Module} module
 * @returns {{outcome: {status: number} | {thrown: unknown}, memory: number}} the exit code, 0 to 255, or what ended it otherwise
 */
function start(host, module) {
  /** @type {WebAssembly.Memory | null} */
  let memory = null;
  /** @type {{status: number} | {thrown: unknown}} */
  let outcome = { status: 0 };
  try {
    const instance = new WebAssembly.Instance(module, /** @type {WebAssembly.Imports} */ (host.imports));
    memory = host.guest.attach(instance.exports);
    const begin = /** @type {() => unknown} */ (instance.exports._start);
    if (begin.length || begin() !== undefined) throw new Fault('the _start function takes or returns something: the module is not a WASI command');
    if (host.stopped) throw host.stopped;
  } catch (thrown) {
    const stopped = host.stopped ?? thrown;
    outcome = stopped instanceof Exit ? { status: stopped.code & 0xff } : { thrown: stopped };
  }
  host.guest.detach();
  return { outcome, memory: memory?.buffer.byteLength ?? 0 };
}

/** @param {number} status @param {RunDirectory} root @param {Given} given @param {Output} stdout @param {Output} stderr @returns {End} */
function leftBehind(status, root, { artifacts, limits }, stdout, stderr) {
  if (!artifacts.length) return { status, stdout: stdout.bytes, stderr: stderr.bytes };
  const { zip, missing } = collect(root, artifacts, limits.files);
  stderr.budget.limit = Infinity; // what we say ourselves is not the program's
  for (const path of missing) stderr.write(new TextEncoder().encode(`wasimoff: artifact not found: ${path}\n`));
  return { status, stdout: stdout.bytes, stderr: stderr.bytes, artifacts: zip };
}

/** @param {unknown} thrown @param {Given} given @param {number} memory that it had @returns {End} */
function why(thrown, { module, limits }, memory) {
  const end = failure(thrown, module);
  const trapped = end.error !== undefined && !(thrown instanceof Fault);
  if (!trapped || memory * 2 < limits.memory) return end;
  return { error: memoryFault(memory, limits.memory, `in use when the program stopped: ${end.error}`).message };
}

/** What a program said last helps to see why it trapped. @param {End} end @param {unknown} thrown @param {Uint8Array} stderr */
function withTail(end, thrown, stderr) {
  if (end.error === undefined || thrown instanceof Fault) return end;
  const tail = new TextDecoder().decode(stderr.subarray(-STDERR_TAIL)).trim();
  return tail ? { error: `${end.error}\n${tail}` } : end;
}

/** @param {unknown} thrown @param {WebAssembly.Module} [module] that ran @returns {End} */
export function failure(thrown, module) {
  if (thrown instanceof Broken) return { broken: thrown.message };
  if (thrown instanceof Fault) return { error: thrown.message };
  if (thrown instanceof RangeError && NO_MEMORY.test(thrown.message)) return { broken: `out of memory: ${thrown.message}` };
  return { error: trapText(thrown, module ? moduleName(module) : '') };
}

/** Whether a run ended for want of memory, which may be there after a pause. @param {End} end */
export function starved(end) {
  return end.broken?.startsWith('out of memory: ') ?? false;
}
