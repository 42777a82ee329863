/** The binary form of modules, as far as we look into it (WebAssembly core specification, 5.5). */
import { memoryFault } from './limits.js';

const HEADER = 8;
const MEMORY_SECTION = 5;
export const PAGE = 65_536;
const MOST_PAGES = 65_536;
const HAS_MAXIMUM = 1;
const IS_64_BIT = 4;

/** Reads a module's bytes; RangeError at their end. */
export class Reader {
  /** @param {Uint8Array} bytes @param {number} at */
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    if (this.at >= this.bytes.length) throw new RangeError('the module ends early');
    return this.bytes[this.at++];
  }

  /** An unsigned integer in LEB128; one beyond 2^53 is not exact. */
  number() {
    let [value, scale] = [0, 1];
    for (let length = 0; length < 10; length++, scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('a number that is too long');
  }
}

/** @param {number} value @returns {number[]} LEB128 */
function encode(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/**
 * The module with memories that grow no further than the limit; the bytes as they are when there is nothing to change, or
 * they can't be read: then the engine says what is wrong.
 * @param {Uint8Array<ArrayBuffer>} bytes @param {number} limit in bytes
 * @throws {Fault} when a memory is larger from the start
 */
export function withMemoryLimit(bytes, limit) {
  const pages = Math.floor(limit / PAGE);
  if (pages >= MOST_PAGES) return bytes;
  try {
    const section = find(bytes, MEMORY_SECTION);
    if (!section) return bytes;
    const content = limited(new Reader(bytes, section.content), pages, limit);
    const head = [MEMORY_SECTION, ...encode(content.length)];
    const out = new Uint8Array(section.start + head.length + content.length + (bytes.length - section.end));
    out.set(bytes.subarray(0, section.start));
    out.set(head, section.start);
    out.set(content, section.start + head.length);
    out.set(bytes.subarray(section.end), section.start + head.length + content.length);
    return out;
  } catch (error) {
    if (error instanceof RangeError) return bytes;
    throw error;
  }
}

/** @param {Uint8Array} bytes @param {number} wanted */
function find(bytes, wanted) {
  const reader = new Reader(bytes, HEADER);
  while (reader.at < bytes.length) {
    const start = reader.at;
    const id = reader.byte();
    const length = reader.number();
    const content = reader.at;
    if (id === wanted) return { start, content, end: content + length };
    reader.at = content + length;
  }
  return null;
}

/** @param {Reader} reader @param {number} pages @param {number} limit @returns {number[]} the section's content, limited */
function limited(reader, pages, limit) {
  const count = reader.number();
  const out = encode(count);
  for (let index = 0; index < count; index++) {
    const flags = reader.byte();
    const minimum = reader.number();
    const maximum = flags & HAS_MAXIMUM ? reader.number() : Infinity;
    if (flags & IS_64_BIT) throw new RangeError('a memory of 64 bits');
    if (minimum > pages) throw memoryFault(minimum * PAGE, limit, 'needed to begin');
    out.push(flags | HAS_MAXIMUM, ...encode(minimum), ...encode(Math.min(maximum, pages)));
  }
  return out;
}

/** @param {WebAssembly.Module} module @returns {string} the name that it gives itself, "" for none */
export function moduleName(module) {
  const [section] = WebAssembly.Module.customSections(module, 'name');
  if (!section) return '';
  try {
    const reader = new Reader(new Uint8Array(section), 0);
    if (reader.byte() !== 0) return '';
    reader.number();
    const length = reader.number();
    return new TextDecoder().decode(reader.bytes.subarray(reader.at, reader.at + length));
  } catch {
    return '';
  }
}
