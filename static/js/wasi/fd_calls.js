/** The calls of WASI preview 1 that begin with `fd_` and `sock_`. */
import { wasi } from '@bjorn3/browser_wasi_shim';
import { checkEnum, checkFlags, fail } from './errno.js';
import { Stream } from './streams.js';
import { checkTimeFlags, STAT_SIZE } from './stat.js';

/** @typedef {import('./host.js').Host} Host */

const FDSTAT_SIZE = 24;
const DIRENT_SIZE = 24;
const MAX_PREAD = 65_536; // bytes; what wasmtime reads at most
const FDFLAGS = 31;
const UNSETTABLE = wasi.FDFLAGS_DSYNC | wasi.FDFLAGS_RSYNC | wasi.FDFLAGS_SYNC;
const U64 = 2n ** 64n;

/** @param {Host} host */
export function fdCalls(host) {
  return { ...ofFiles(host), ...ofData(host), ...ofDirectories(host), ...ofSockets(host) };
}

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
function ofFiles(host) {
  const { guest } = host;
  return {
    fd_advise(/** @type {number} */ fd, /** @type {bigint} */ _offset, /** @type {bigint} */ length, /** @type {number} */ advice) {
      checkEnum(advice, 6, 'Advice');
      host.descriptors.file(fd);
      if (length < 0n) fail(wasi.ERRNO_INVAL);
    },
    fd_allocate(/** @type {number} */ fd) {
      host.descriptors.file(fd);
      fail(wasi.ERRNO_NOTSUP);
    },
    fd_close: (/** @type {number} */ fd) => host.descriptors.close(fd),
    fd_datasync: (/** @type {number} */ fd) => void host.descriptors.file(fd),
    fd_sync: (/** @type {number} */ fd) => void host.descriptors.file(fd),
    fd_fdstat_get(/** @type {number} */ fd, /** @type {number} */ ptr) {
      const { fdstat } = host.descriptors.get(fd).fd_fdstat_get();
      fdstat.write_bytes(guest.view, guest.record(ptr, FDSTAT_SIZE));
    },
    fd_fdstat_set_flags(/** @type {number} */ fd, /** @type {number} */ flags) {
      checkFlags(flags, FDFLAGS, 'Fdflags');
      const file = host.descriptors.file(fd);
      if (flags & UNSETTABLE) fail(wasi.ERRNO_INVAL);
      file.flags = flags;
    },
    fd_fdstat_set_rights(/** @type {number} */ fd) {
      fail(host.descriptors.get(fd) instanceof Stream ? wasi.ERRNO_BADF : wasi.ERRNO_NOTSUP);
    },
    fd_filestat_get(/** @type {number} */ fd, /** @type {number} */ ptr) {
      const found = host.descriptors.get(fd);
      const stat = found instanceof Stream ? found.fd_filestat_get().filestat : found.entry.stat();
      stat.write_bytes(guest.view, guest.record(ptr, STAT_SIZE));
    },
    fd_filestat_set_size: (/** @type {number} */ fd, /** @type {bigint} */ size) => host.descriptors.file(fd).resize(size),
    fd_filestat_set_times(/** @type {number} */ fd, /** @type {bigint} */ atim, /** @type {bigint} */ mtim, /** @type {number} */ flags) {
      checkFlags(flags, 15, 'Fstflags');
      checkTimeFlags(flags);
      const found = host.descriptors.get(fd);
      if (found instanceof Stream) fail(wasi.ERRNO_BADF);
      else found.entry.times.set(atim, mtim, flags);
    },
    fd_renumber: (/** @type {number} */ from, /** @type {number} */ to) => host.descriptors.renumber(from, to),
  };
}

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
function ofData(host) {
  const { guest } = host;
  return {
    fd_read(/** @type {number} */ fd, /** @type {number} */ iovs, /** @type {number} */ count, /** @type {number} */ ptr) {
      const room = guest.buffer(iovs, count);
      const found = host.descriptors.get(fd);
      const data = found instanceof Stream || 'file' in found ? found.read(room.length) : fail(wasi.ERRNO_BADF);
      room.set(data);
      guest.setU32(ptr, data.length);
    },
    fd_pread(/** @type {number} */ fd, /** @type {number} */ iovs, /** @type {number} */ count, /** @type {bigint} */ offset, /** @type {number} */ ptr) {
      const room = guest.buffer(iovs, count);
      if (host.descriptors.get(fd) === host.stdin) fail(wasi.ERRNO_SPIPE);
      const data = host.descriptors.file(fd).readAt(Math.min(room.length, MAX_PREAD), BigInt.asUintN(64, offset));
      room.set(data);
      guest.setU32(ptr, data.length);
    },
    fd_write(/** @type {number} */ fd, /** @type {number} */ iovs, /** @type {number} */ count, /** @type {number} */ ptr) {
      const data = guest.buffer(iovs, count);
      const found = host.descriptors.get(fd);
      if (found instanceof Stream || 'file' in found) found.write(data);
      else fail(wasi.ERRNO_BADF);
      guest.setU32(ptr, data.length);
    },
    fd_pwrite(/** @type {number} */ fd, /** @type {number} */ iovs, /** @type {number} */ count, /** @type {bigint} */ offset, /** @type {number} */ ptr) {
      const data = guest.buffer(iovs, count);
      const found = host.descriptors.get(fd);
      if (found instanceof Stream && found !== host.stdin) fail(wasi.ERRNO_SPIPE);
      host.descriptors.file(fd).writeAt(data, BigInt.asUintN(64, offset));
      guest.setU32(ptr, data.length);
    },
    fd_seek(/** @type {number} */ fd, /** @type {bigint} */ offset, /** @type {number} */ whence, /** @type {number} */ ptr) {
      checkEnum(whence, 3, 'Whence');
      const file = host.descriptors.seekable(fd);
      const from = whence === wasi.WHENCE_SET ? 0n : whence === wasi.WHENCE_CUR ? file.position : BigInt(file.file.length);
      const to = from + offset;
      if (to < 0n || to >= U64) fail(wasi.ERRNO_INVAL);
      file.position = to;
      guest.setU64(ptr, to);
    },
    fd_tell: (/** @type {number} */ fd, /** @type {number} */ ptr) => guest.setU64(ptr, host.descriptors.seekable(fd).position),
  };
}

/** @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
function ofDirectories(host) {
  const { guest } = host;
  /** @param {number} fd @param {number} otherwise */
  const preopen = (fd, otherwise) => {
    const found = host.descriptors.get(fd);
    return 'preopen' in found && found.preopen !== null ? new TextEncoder().encode(found.preopen) : fail(otherwise);
  };
  return {
    fd_prestat_get(/** @type {number} */ fd, /** @type {number} */ ptr) {
      const name = preopen(fd, wasi.ERRNO_BADF);
      guest.setU32(ptr, wasi.PREOPENTYPE_DIR);
      guest.setU32(ptr + 4, name.length);
    },
    fd_prestat_dir_name(/** @type {number} */ fd, /** @type {number} */ ptr, /** @type {number} */ length) {
      const name = preopen(fd, wasi.ERRNO_NOTDIR);
      if (name.length > length >>> 0) fail(wasi.ERRNO_NAMETOOLONG);
      guest.slice(ptr, name.length).set(name);
    },
    fd_readdir(/** @type {number} */ fd, /** @type {number} */ buffer, /** @type {number} */ length, /** @type {bigint} */ cookie, /** @type {number} */ ptr) {
      const directory = host.descriptors.directory(fd);
      const room = guest.slice(buffer, length);
      let used = 0;
      for (let at = BigInt.asUintN(64, cookie); used < room.length; at++) {
        const { dirent } = directory.fd_readdir_single(at);
        if (!dirent) break;
        const bytes = direntBytes(dirent);
        room.set(bytes.subarray(0, room.length - used), used);
        used = Math.min(used + bytes.length, room.length);
      }
      guest.setU32(ptr, used);
    },
  };
}

/** @param {wasi.Dirent} dirent */
function direntBytes(dirent) {
  const bytes = new Uint8Array(DIRENT_SIZE + dirent.name_length());
  dirent.write_head_bytes(new DataView(bytes.buffer), 0);
  dirent.write_name_bytes(bytes, DIRENT_SIZE, dirent.name_length());
  return bytes;
}

/** There are none: the shim throws a string here. @param {Host} host @returns {Record<string, (...args: any[]) => number | void>} */
function ofSockets(host) {
  /** @param {number} known @param {string} type @param {number} at  which parameter the flags are */
  const call = (known, type, at) => (/** @type {number[]} */ ...args) => {
    checkFlags(args[at], known, type);
    host.descriptors.get(args[0]);
    fail(wasi.ERRNO_NOTSOCK);
  };
  return {
    sock_accept: call(FDFLAGS, 'Fdflags', 1),
    sock_recv: call(3, 'Riflags', 3),
    sock_send: call(~0, 'Siflags', 3),
    sock_shutdown: call(3, 'Sdflags', 1),
  };
}
