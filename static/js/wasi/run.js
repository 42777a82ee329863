/** One run, from its module to its end. Synchronous: nothing else happens in this worker meanwhile. */
import { collect } from './artifacts.js';
import { Broken, Budget, Fault, trapText } from './faults.js';
import { Root } from './files.js';
import { Exit, host } from './host.js';
import { Input, Output } from './streams.js';


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
 * @param {WebAssembly.Module} module
 * @param {import('../messages.js').RunField} run
 * @param {Uint8Array} stdin
 * @param {import('./tree.js').Tree | null} rootfs
 * @param {import('../messages.js').Limits} limits
 * @returns {End}
 */
export function execute(module, run, stdin, rootfs, limits) {
  const output = new Budget('output', limits.output);
  const stdout = new Output(output);
  const stderr = new Output(output);
  const root = new Root(rootfs, new Budget('files', limits.files));
  try {
    const status = start(module, run, [new Input(stdin), stdout, stderr, root]);
    if (!run.artifacts?.length) return { status, stdout: stdout.bytes, stderr: stderr.bytes };
    const { zip, missing } = collect(root.dir, run.artifacts);
    output.limit = Infinity; // what we say ourselves is not the program's
    for (const path of missing) stderr.append(new TextEncoder().encode(`wasimoff: artifact not found: ${path}\n`));
    return { status, stdout: stdout.bytes, stderr: stderr.bytes, artifacts: zip };
  } catch (thrown) {
    return failure(thrown);
  }
}

/**
 * @param {WebAssembly.Module} module @param {import('../messages.js').RunField} run
 * @param {import('@bjorn3/browser_wasi_shim').Fd[]} fds
 * @returns {number} the exit code, 0 to 255
 */
function start(module, run, fds) {
  const { shim, imports } = host(run.args, run.envs ?? [], fds);
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports });
  shim.inst = /** @type {typeof shim.inst} */ (instance);
  try {
    /** @type {() => void} */ (instance.exports._start)();
    return 0;
  } catch (thrown) {
    if (thrown instanceof Exit) return thrown.code & 0xff;
    if (thrown instanceof TypeError && !(instance.exports.memory instanceof WebAssembly.Memory)) throw new Fault('the module exports no memory');
    throw thrown;
  }
}

/** @param {unknown} thrown @returns {End} */
export function failure(thrown) {
  if (thrown instanceof Broken) return { broken: thrown.message };
  if (thrown instanceof Fault) return { error: thrown.message };
  if (thrown instanceof RangeError && /memory/i.test(thrown.message) && /alloc|memory\(\)/i.test(thrown.message)) return { broken: `out of memory: ${thrown.message}` };
  return { error: trapText(thrown) };
}


