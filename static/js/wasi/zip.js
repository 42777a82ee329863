/**
 * Zip archives: a rootfs in, artifacts out (APPNOTE 6.3; stored and deflated entries). Nothing an archive says is
 * believed: sizes are counted, checksums compared, before and after unpacking.
 */
import { deflateSync, inflateSync, zipSync } from 'fflate';
import { Fault } from './faults.js';
import { inflate64 } from './inflate64.js';
import { plant, Problem, staysInside, Symlink } from './tree.js';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END64 = 0x06064b50;
const LOCATOR = 0x07064b50;
const EXTRA64 = 1;
const LARGE = 0xffff_ffff; // said where the true number is in the extra field
const ENCRYPTED = 1;
const UTF8 = 0x800;
const STORED = 0;
const DEFLATED = 8;
const DEFLATED_64 = 9;
const METHODS = [STORED, DEFLATED, DEFLATED_64];
const KIND = 0xf000;
const SYMLINK = 0xa000;
const MAX_TARGET = 4096; // bytes

export const MAX_ENTRIES = 65_534;
const MAX_RATIO = 1000; // deflate can't do better than 1032 (Deflate64 can), and honest archives do worse than 200
const RATIO_FREE = 16 << 20; // the ratio is no matter below this size
const WORTH_A_LOOK = 1 << 20; // bytes
const SAMPLES = 5;
const SAMPLE = 16 << 10; // bytes

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
 * @param {number} before  bytes of those that are used up
 * @param {string} what it is, for people
 * @returns {{tree: import('./tree.js').Tree, size: number, entries: number}}
 * @throws {Fault} when it is not a zip, damaged, beyond the limits, or would write outside of itself
 */
export function unpack(bytes, limit, before, what) {
  try {
    const entries = directory(bytes);
    let size = 0;
    for (const entry of entries) size += entry.size;
    if (before + size > limit) throw new Problem(`files limit exceeded: ${before + size} bytes unpacked, at most ${limit}`);
    if (size > RATIO_FREE && size > MAX_RATIO * bytes.length) throw new Problem(`${bytes.length} bytes would unpack to ${size}: refused as a zip bomb`);
    /** @type {import('./tree.js').Tree} */
    const tree = new Map();
    for (const entry of entries) plant(tree, entry.path, node(bytes, entry));
    return { tree, size, entries: entries.length };
  } catch (error) {
    throw error instanceof Problem ? new Fault(`${what}: ${error.message}`) : error;
  }
}

/** @param {Uint8Array} bytes @param {Entry} entry */
function node(bytes, entry) {
  if (entry.path.endsWith('/')) return EMPTY;
  if ((entry.mode & KIND) !== SYMLINK) return content(bytes, entry);
  const target = entry.size > MAX_TARGET ? '' : decode(content(bytes, entry), '');
  if (!staysInside(entry.path, target)) throw new Problem(`${JSON.stringify(entry.path)} is a symbolic link that leads outside of the archive`);
  return new Symlink(target);
}

/** @param {Uint8Array} bytes @returns {Entry[]} what the central directory lists */
function directory(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = [];
  try {
    let { at, count } = endOfDirectory(view);
    if (count > MAX_ENTRIES) throw new Problem(`more than ${MAX_ENTRIES} entries`);
    while (count-- > 0) {
      if (view.getUint32(at, true) !== CENTRAL) throw damaged('its directory');
      const { entry, next } = readEntry(view, bytes, at);
      entries.push(entry);
      at = next;
    }
  } catch (error) {
    throw error instanceof RangeError ? damaged('its directory') : error;
  }
  return entries;
}

/** @param {DataView} view @returns {{at: number, count: number}} where the central directory is, and how many it lists */
function endOfDirectory(view) {
  const first = Math.max(0, view.byteLength - 22 - 0xffff);
  let end = view.byteLength - 22;
  while (end >= first && view.getUint32(end, true) !== END) end--;
  if (end < first) throw new Problem('not a zip archive');
  if (end < 20 || view.getUint32(end - 20, true) !== LOCATOR) return { at: view.getUint32(end + 16, true), count: view.getUint16(end + 10, true) };
  const end64 = number64(view, end - 12);
  if (view.getUint32(end64, true) !== END64) throw damaged('the end of its directory');
  return { at: number64(view, end64 + 48), count: number64(view, end64 + 32) };
}

/** @param {DataView} view @param {number} at @returns {number} one beyond 2^53 is not exact, and too large anyway */
function number64(view, at) {
  return Number(view.getBigUint64(at, true));
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
  if (entry.size === LARGE || entry.packed === LARGE || entry.offset === LARGE) readLarge(view, at + 46 + name, view.getUint16(at + 30, true), entry);
  return { entry, next };
}

/** Takes from the extra field, in this order, those numbers that did not fit. @param {DataView} view @param {number} at @param {number} length @param {Entry} entry */
function readLarge(view, at, length, entry) {
  const end = at + length;
  while (at + 4 <= end && view.getUint16(at, true) !== EXTRA64) at += 4 + view.getUint16(at + 2, true);
  if (at + 4 > end) throw damaged(JSON.stringify(entry.path));
  at += 4;
  for (const field of /** @type {const} */ (['size', 'packed', 'offset'])) {
    if (entry[field] !== LARGE) continue;
    entry[field] = number64(view, at);
    at += 8;
  }
}

/** @param {Uint8Array} raw @param {number} flags */
function decodeName(raw, flags) {
  const name = decode(raw, null);
  if (name === null && flags & UTF8) throw damaged('a name in it');
  return name ?? new TextDecoder('latin1').decode(raw);
}

/** @template T @param {Uint8Array} raw @param {T} otherwise @returns {string | T} */
function decode(raw, otherwise) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return otherwise;
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
  if (entry.flags & ENCRYPTED) throw new Problem(`${JSON.stringify(entry.path)} is encrypted`);
  if (!METHODS.includes(entry.method)) throw new Problem(`${JSON.stringify(entry.path)} is packed with method ${entry.method}; only stored and deflated entries are taken`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (entry.offset + 30 > bytes.length || view.getUint32(entry.offset, true) !== LOCAL) throw damaged(JSON.stringify(entry.path));
  const start = entry.offset + 30 + view.getUint16(entry.offset + 26, true) + view.getUint16(entry.offset + 28, true);
  if (start + entry.packed > bytes.length || (entry.method === STORED && entry.packed !== entry.size)) throw damaged(JSON.stringify(entry.path));
  return bytes.subarray(start, start + entry.packed);
}

/** @param {Uint8Array} raw @param {Entry} entry */
function inflate(raw, entry) {
  try {
    return entry.method === DEFLATED_64 ? inflate64(raw, entry.size) : inflateSync(raw, { out: new Uint8Array(entry.size) });
  } catch {
    throw damaged(JSON.stringify(entry.path));
  }
}

/** @param {string} what */
function damaged(what) {
  return new Problem(`the zip archive is damaged at ${what}`);
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
  /** @type {import('fflate').Zippable} */
  const entries = {};
  for (const [path, bytes] of files) entries[path] = [bytes, { level: isNoise(bytes) ? 0 : 6 }];
  return zipSync(entries, { mtime: new Date(1980, 0, 1) });
}

/** Whether packing would make little of a large file, but take many seconds. @param {Uint8Array} bytes */
function isNoise(bytes) {
  if (bytes.length < WORTH_A_LOOK) return false;
  let packed = 0;
  for (let part = 0; part < SAMPLES; part++) {
    const from = Math.floor(((bytes.length - SAMPLE) / (SAMPLES - 1)) * part);
    packed += deflateSync(bytes.subarray(from, from + SAMPLE), { level: 1 }).length;
  }
  return packed > 0.97 * SAMPLES * SAMPLE;
}
