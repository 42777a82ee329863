/**
 * Zip archives: a rootfs in, artifacts out (APPNOTE 6.3; stored and deflated entries). Nothing an archive says is
 * believed: sizes are counted, checksums compared, before and after unpacking.
 */
import { inflateSync, zipSync } from 'fflate';
import { Fault } from './faults.js';
import { plant } from './tree.js';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const ENCRYPTED = 1;
const UTF8 = 0x800;
const STORED = 0;
const DEFLATED = 8;
const SYMLINK = 0xa000;

export const MAX_ENTRIES = 65_535;
const MAX_RATIO = 1000; // deflate can't do better than 1032, and honest archives do worse than 200
const RATIO_FREE = 16 << 20; // the ratio is no matter below this size

/**
 * @typedef {object} Entry
 * @property {string} path
 * @property {number} method
 * @property {number} flags
 * @property {number} mode  Unix mode, 0 where there is none
 * @property {number} crc
 * @property {number} packed  bytes in the archive
 * @property {number} size  bytes unpacked
 * @property {number} offset  of the local header
 */

/**
 * Unpacks an archive.
 * @param {Uint8Array} bytes
 * @param {number} limit  bytes that it may have unpacked
 * @returns {{tree: import('./tree.js').Tree, size: number}}
 * @throws {Fault} when it is not a zip, damaged, beyond the limits, or would write outside of itself
 */
export function unpack(bytes, limit) {
  const entries = directory(bytes);
  let size = 0;
  for (const entry of entries) size += entry.size;
  if (size > limit) throw new Fault(`rootfs: files limit exceeded: ${size} bytes unpacked, at most ${limit}`);
  if (size > RATIO_FREE && size > MAX_RATIO * bytes.length) throw new Fault(`rootfs: ${bytes.length} bytes would unpack to ${size}: refused as a zip bomb`);
  /** @type {import('./tree.js').Tree} */
  const tree = new Map();
  for (const entry of entries) {
    if ((entry.mode & 0xf000) === SYMLINK) throw new Fault(`rootfs: ${JSON.stringify(entry.path)} is a symbolic link, which is not supported`);
    plant(tree, entry.path, entry.path.endsWith('/') ? EMPTY : content(bytes, entry));
  }
  return { tree, size };
}

/** @param {Uint8Array} bytes @returns {Entry[]} what the central directory lists */
function directory(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOfDirectory(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 0xffff || at === 0xffffffff) throw new Fault(`rootfs: a zip64 archive, or more than ${MAX_ENTRIES - 1} entries`);
  const entries = [];
  try {
    for (let index = 0; index < count; index++) {
      if (view.getUint32(at, true) !== CENTRAL) throw damaged('its directory');
      const entry = readEntry(view, bytes, at);
      entries.push(entry.entry);
      at = entry.next;
    }
  } catch (error) {
    throw error instanceof RangeError ? damaged('its directory') : error;
  }
  return entries;
}

/** @param {DataView} view @returns {number} where the end of central directory record is */
function endOfDirectory(view) {
  const first = Math.max(0, view.byteLength - 22 - 0xffff);
  for (let at = view.byteLength - 22; at >= first; at--) if (view.getUint32(at, true) === END) return at;
  throw new Fault('rootfs: not a zip archive');
}

/** @param {DataView} view @param {Uint8Array} bytes @param {number} at */
function readEntry(view, bytes, at) {
  const flags = view.getUint16(at + 8, true);
  const name = view.getUint16(at + 28, true);
  const next = at + 46 + name + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  const path = decodeName(bytes.subarray(at + 46, at + 46 + name), flags);
  const madeOnUnix = view.getUint8(at + 5) === 3;
  /** @type {Entry} */
  const entry = {
    path,
    flags,
    method: view.getUint16(at + 10, true),
    mode: madeOnUnix ? view.getUint16(at + 40, true) : 0,
    crc: view.getUint32(at + 16, true),
    packed: view.getUint32(at + 20, true),
    size: view.getUint32(at + 24, true),
    offset: view.getUint32(at + 42, true),
  };
  return { entry, next };
}

/** @param {Uint8Array} raw @param {number} flags */
function decodeName(raw, flags) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch {
    if (flags & UTF8) throw damaged('a name in it');
    return new TextDecoder('latin1').decode(raw);
  }
}

/** @param {Uint8Array} bytes @param {Entry} entry @returns {Uint8Array} */
function content(bytes, entry) {
  const raw = packed(bytes, entry);
  const out = entry.method === STORED ? raw.slice() : inflate(raw, entry);
  if (out.length !== entry.size || crc32(out) !== entry.crc) throw damaged(JSON.stringify(entry.path));
  return out;
}

/** @param {Uint8Array} bytes @param {Entry} entry */
function packed(bytes, entry) {
  if (entry.flags & ENCRYPTED) throw new Fault(`rootfs: ${JSON.stringify(entry.path)} is encrypted`);
  if (entry.method !== STORED && entry.method !== DEFLATED) throw new Fault(`rootfs: ${JSON.stringify(entry.path)} is packed with method ${entry.method}; only stored and deflated entries are taken`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (entry.offset + 30 > bytes.length || view.getUint32(entry.offset, true) !== LOCAL) throw damaged(JSON.stringify(entry.path));
  const start = entry.offset + 30 + view.getUint16(entry.offset + 26, true) + view.getUint16(entry.offset + 28, true);
  if (start + entry.packed > bytes.length || (entry.method === STORED && entry.packed !== entry.size)) throw damaged(JSON.stringify(entry.path));
  return bytes.subarray(start, start + entry.packed);
}

/** @param {Uint8Array} raw @param {Entry} entry */
function inflate(raw, entry) {
  try {
    return inflateSync(raw, { out: new Uint8Array(entry.size) });
  } catch {
    throw damaged(JSON.stringify(entry.path));
  }
}

/** @param {string} what */
function damaged(what) {
  return new Fault(`rootfs: the zip archive is damaged at ${what}`);
}

const EMPTY = new Uint8Array(0);
const CRC = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = CRC[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * Packs files into an archive; the same bytes for the same files.
 * @param {[string, Uint8Array][]} files  a path that ends with a slash is a directory
 */
export function pack(files) {
  return zipSync(Object.fromEntries(files), { level: 6, mtime: new Date(1980, 0, 1) });
}
