/**
 * What a start needs, kept in files that only this origin sees (OPFS): the second start reads them as they are, in a tenth of the
 * time that the HTTP cache takes to hand them out and unpack them (bench/startup.py). Where there are none, the network gives it.
 *
 * A name holds a hash of what is in the file. At its end stands how long it is, written when all else is on disk.
 */

const FOLDER = 'wasimoff-start';
const MAGIC = 0x50544b57; // "WKTP"
const TAIL = 8;
const SLICE = 1 << 20;

/** @typedef {FileSystemFileHandle & {createSyncAccessHandle(options?: {mode: string}): Promise<Access>}} Handle */
/** @typedef {{read(into: Uint8Array, options: {at: number}): number, write(bytes: Uint8Array, options: {at: number}): number, truncate(size: number): void, getSize(): number, flush(): void, close(): void}} Access */

/** @param {string} url whose last folder's name holds a hash */
function nameOf(url) {
  return url.split('/').slice(-2).join('~');
}

/** @type {Promise<FileSystemDirectoryHandle> | undefined} */
let opened;

async function open() {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(FOLDER, { create: true });
}

function folder() {
  return (opened ??= open());
}

/**
 * @param {string} url
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null: it is not kept here, not whole, or such files can't be had
 */
export async function find(url) {
  try {
    const handle = /** @type {Handle} */ (await (await folder()).getFileHandle(nameOf(url)));
    const access = await handle.createSyncAccessHandle({ mode: 'read-only' });
    try {
      return read(access);
    } finally {
      access.close();
    }
  } catch {
    return null; // a private window, plain http, another tab that writes it, the first visit
  }
}

/** @param {Access} access */
function read(access) {
  const length = access.getSize() - TAIL;
  if (length < 0) return null;
  const tail = new DataView(new ArrayBuffer(TAIL));
  const bytes = new Uint8Array(length);
  access.read(new Uint8Array(tail.buffer), { at: length });
  const whole = access.read(bytes, { at: 0 }) === length && tail.getUint32(0, true) === MAGIC && tail.getUint32(4, true) === length;
  return whole ? bytes : null;
}

/**
 * Keeps these and nothing else. Gives way to all that happens meanwhile; what can't be kept is fetched again the next time.
 * @param {Map<string, Uint8Array>} files by URL
 * @returns {Promise<boolean>} whether they are kept
 */
export async function keep(files) {
  try {
    const into = await folder();
    const names = new Set([...files.keys()].map(nameOf));
    for await (const name of /** @type {any} */ (into).keys()) if (!names.has(name)) await into.removeEntry(name).catch(() => {});
    for (const [url, bytes] of files) {
      const handle = /** @type {Handle} */ (await into.getFileHandle(nameOf(url), { create: true }));
      const access = await handle.createSyncAccessHandle();
      try {
        await write(access, bytes);
      } finally {
        access.close();
      }
    }
    return true;
  } catch {
    return false; // no room, or no such files here
  }
}

/** Keeps nothing: what was kept did not fit. */
export async function forget() {
  opened = undefined;
  const root = await navigator.storage.getDirectory();
  await root.removeEntry(FOLDER, { recursive: true });
}

/** @param {Access} access @param {Uint8Array} bytes */
async function write(access, bytes) {
  access.truncate(0);
  for (let at = 0; at < bytes.length; at += SLICE) {
    const slice = bytes.subarray(at, at + SLICE);
    if (access.write(slice, { at }) !== slice.length) throw new Error('no room');
    await new Promise((resolve) => setTimeout(resolve));
  }
  access.flush();
  const tail = new DataView(new ArrayBuffer(TAIL));
  tail.setUint32(0, MAGIC, true);
  tail.setUint32(4, bytes.length, true);
  access.write(new Uint8Array(tail.buffer), { at: bytes.length });
}
