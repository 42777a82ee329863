/** What `fd_filestat_get` and `path_filestat_get` write: the shim's Filestat with its times at the right offsets. */
import { wasi } from '@bjorn3/browser_wasi_shim';

export class Stat extends wasi.Filestat {
  nlink = 1n;

  /**
   * The shim writes the times at 38, 46 and 52, over the size and short of the end (WASI preview 1, `filestat`).
   * @param {DataView} view @param {number} ptr
   */
  write_bytes(view, ptr) {
    view.setBigUint64(ptr, this.dev, true);
    view.setBigUint64(ptr + 8, this.ino, true);
    view.setBigUint64(ptr + 16, BigInt(this.filetype), true);
    view.setBigUint64(ptr + 24, this.nlink, true);
    view.setBigUint64(ptr + 32, this.size, true);
    view.setBigUint64(ptr + 40, this.atim, true);
    view.setBigUint64(ptr + 48, this.mtim, true);
    view.setBigUint64(ptr + 56, this.ctim, true);
  }
}
