/** One run, from its module to its end. Synchronous: nothing else happens in this worker meanwhile. */
import { collect } from './artifacts.js';
import { Broken, Budget, Fault, trapText } from './faults.js';
import { wallTime } from './clock.js';
import { RunDirectory } from './files.js';
import { OpenDirectory } from './open.js';
import { Exit } from './system_calls.js';
import { Input, Output } from './streams.js';

const NO_MEMORY = /allocation failed|could not allocate|cannot allocate|out of memory/i;
const STDERR_TAIL = 2000; // bytes of stderr that are told with a trap

/**
 * @typedef {object} End
 * @property {number} [status]
 * @property {Uint8Array} [stdout]
 * @property {Uint8Array} [stderr]
 * @property {Uint8Array} [artifacts]
 * @property {string} [error]
 * @property {string} [broken]
 */

/**
 * @param {import('./host.js').Host} host
 * @param {WebAssembly.Module} module
 * @param {import('../messages.js').RunField} run
 * @param {Uint8Array} stdin
 * @param {import('./tree.js').Tree | null} rootfs
 * @param {import('../messages.js').Limits} limits
 * @returns {End}
 */
export function execute(host, module, run, stdin, rootfs, limits) {
  const output = new Budget('output', limits.output);
  const stdout = new Output(output);
  const stderr = new Output(output);
  const began = wallTime();
  const root = new RunDirectory(rootfs, { budget: new Budget('files', limits.files), began }, began, null);
  host.begin(run.args, run.envs ?? [], [new Input(stdin), stdout, stderr, new OpenDirectory(root, '/')]);
  try {
    const status = start(host, module);
    if (!run.artifacts?.length) return { status, stdout: stdout.bytes, stderr: stderr.bytes };
    const { zip, missing } = collect(root, run.artifacts, limits.files);
    output.limit = Infinity; // what we say ourselves is not the program's
    for (const path of missing) stderr.write(new TextEncoder().encode(`wasimoff: artifact not found: ${path}\n`));
    return { status, stdout: stdout.bytes, stderr: stderr.bytes, artifacts: zip };
  } catch (thrown) {
    return withTail(failure(thrown), thrown, stderr.bytes);
  }
}

/** What a program said last helps to see why it trapped. @param {End} end @param {unknown} thrown @param {Uint8Array} stderr */
function withTail(end, thrown, stderr) {
  if (end.error === undefined || thrown instanceof Fault) return end;
  const tail = new TextDecoder().decode(stderr.subarray(-STDERR_TAIL)).trim();
  return tail ? { error: `${end.error}\n${tail}` } : end;
}

/**
 * @param {import('./host.js').Host} host @param {WebAssembly.Module} module
 * @returns {number} the exit code, 0 to 255
 */
function start(host, module) {
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: /** @type {WebAssembly.ModuleImports} */ (host.wasiImport) });
  host.guest.attach(instance.exports);
  const begin = /** @type {() => void} */ (instance.exports._start);
  if (begin.length) throw new Fault('the _start function takes or returns something: the module is not a WASI command');
  try {
    begin();
    return 0;
  } catch (thrown) {
    if (thrown instanceof Exit) return thrown.code & 0xff;
    throw thrown;
  } finally {
    host.guest.detach();
  }
}

/** @param {unknown} thrown @returns {End} */
export function failure(thrown) {
  if (thrown instanceof Broken) return { broken: thrown.message };
  if (thrown instanceof Fault) return { error: thrown.message };
  if (thrown instanceof RangeError && NO_MEMORY.test(thrown.message)) return { broken: `out of memory: ${thrown.message}` };
  return { error: trapText(thrown) };
}

/** Whether a run ended for want of memory, which may be there after a pause. @param {End} end */
export function starved(end) {
  return end.broken?.startsWith('out of memory: ') ?? false;
}


