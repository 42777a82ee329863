/** The imports of one run: the shim's functions, with those replaced that are wrong or would end the worker. */
import { WASI, wasi } from '@bjorn3/browser_wasi_shim';

/** Ends a program, from within `proc_exit`. Not an Error: a stack trace costs more than a short program. */
export class Exit {
  /** @param {number} code */
  constructor(code) {
    this.code = code;
  }
}

const encoder = new TextEncoder();

/**
 * @param {string[]} args argv
 * @param {string[]} envs "K=V"
 * @param {import('@bjorn3/browser_wasi_shim').Fd[]} fds
 */
export function host(args, envs, fds) {
  const shim = new WASI(args, envs, fds, { debug: false });
  const memory = () => /** @type {WebAssembly.Memory} */ (shim.inst.exports.memory).buffer;
  /** @param {number} fd */
  const notSocket = (fd) => (fds[fd] === undefined ? wasi.ERRNO_BADF : wasi.ERRNO_NOTSOCK);
  /** @type {Record<string, (...args: any[]) => unknown>} */
  const imports = Object.assign(shim.wasiImport, {
    /** The shim counts UTF-16 units here and writes UTF-8 in `args_get`. @param {number} countPtr @param {number} sizePtr */
    args_sizes_get(countPtr, sizePtr) {
      const view = new DataView(memory());
      view.setUint32(countPtr, args.length, true);
      view.setUint32(sizePtr, args.reduce((size, arg) => size + encoder.encode(arg).length + 1, 0), true);
      return wasi.ERRNO_SUCCESS;
    },
    /** @param {number} code */
    proc_exit(code) {
      throw new Exit(code);
    },
    /** @param {number} _signal */
    proc_raise: (_signal) => wasi.ERRNO_NOSYS,
    sched_yield: () => wasi.ERRNO_SUCCESS,
    sock_accept: notSocket,
    sock_recv: notSocket,
    sock_send: notSocket,
    sock_shutdown: notSocket,
  });
  return { shim, imports };
}

/** The names of all functions that a program may import. */
export const OFFERED = host([], [], []).imports;
