/**
 * Deflate64 (zip's method 9, which Windows' Explorer uses for large files): Deflate (RFC 1951) with a window of 64 KiB. Its
 * last length code has 16 extra bits and begins at 3, and there are two more distance codes.
 */

const MAX_BITS = 15; // of a code
const END = 256;
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]; // of the code lengths' own
const LENGTHS = withBases([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 16], 3);
LENGTHS.bases[28] = 3;
const DISTANCES = withBases(Array.from({ length: 32 }, (_, code) => Math.max((code >> 1) - 1, 0)), 1);

/** @param {number[]} extra bits of each code @param {number} base of the first */
function withBases(extra, base) {
  const bases = [];
  for (const bits of extra) {
    bases.push(base);
    base += 1 << bits;
  }
  return { extra, bases };
}

/** Bits, the lowest first; RangeError at their end. */
class Bits {
  #held = 0;
  #count = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** @param {number} count up to 16 */
  take(count) {
    while (this.#count < count) {
      if (this.at >= this.bytes.length) throw new RangeError('it ends early');
      this.#held |= this.bytes[this.at++] << this.#count;
      this.#count += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#count -= count;
    return value;
  }

  /** The next symbol of a code. @param {Code} code */
  symbol({ table, bits }) {
    while (this.#count < bits && this.at < this.bytes.length) {
      this.#held |= this.bytes[this.at++] << this.#count;
      this.#count += 8;
    }
    const found = table[this.#held & ((1 << bits) - 1)];
    const length = found & MAX_BITS;
    if (!length || length > this.#count) throw new RangeError('no such code');
    this.#held >>>= length;
    this.#count -= length;
    return found >> 4;
  }

  /** Whole bytes, from the next one on. @param {number} count */
  whole(count) {
    this.at -= this.#count >> 3;
    this.#held = this.#count = 0;
    if (this.at + count > this.bytes.length) throw new RangeError('it ends early');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}

/** @typedef {{table: Uint16Array, bits: number}} Code  by the next `bits` bits: the symbol, and in the low 4 bits how many are its own (0: no code) */

/** @param {ArrayLike<number>} lengths in bits, by symbol @returns {Code} */
function codeOf(lengths) {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (let symbol = 0; symbol < lengths.length; symbol++) counts[lengths[symbol]]++;
  counts[0] = 0;
  let bits = MAX_BITS;
  while (bits > 1 && !counts[bits]) bits--;
  const next = new Uint16Array(MAX_BITS + 2);
  for (let length = 1; length <= MAX_BITS; length++) {
    next[length + 1] = (next[length] + counts[length]) << 1;
    if (next[length] + counts[length] > 1 << length) throw new RangeError('more codes than there can be');
  }
  const table = new Uint16Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol];
    if (!length) continue;
    for (let at = reversed(next[length]++, length); at < table.length; at += 1 << length) table[at] = (symbol << 4) | length;
  }
  return { table, bits };
}

/** @param {number} value @param {number} bits */
function reversed(value, bits) {
  let result = 0;
  for (; bits > 0; bits--, value >>= 1) result = (result << 1) | (value & 1);
  return result;
}

const FIXED = {
  literals: codeOf(Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8))),
  distances: codeOf(new Uint8Array(32).fill(5)),
};

/** @param {Bits} bits */
function readCodes(bits) {
  const [literals, distances, own] = [bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4];
  const ofLengths = new Uint8Array(ORDER.length);
  for (let index = 0; index < own; index++) ofLengths[ORDER[index]] = bits.take(3);
  const code = codeOf(ofLengths);
  const lengths = new Uint8Array(literals + distances);
  for (let at = 0; at < lengths.length; ) {
    const symbol = bits.symbol(code);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    if (symbol === 16 && !at) throw new RangeError('nothing to repeat');
    const value = symbol === 16 ? lengths[at - 1] : 0;
    const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    if (at + times > lengths.length) throw new RangeError('too many lengths');
    lengths.fill(value, at, at + times);
    at += times;
  }
  return { literals: codeOf(lengths.subarray(0, literals)), distances: codeOf(lengths.subarray(literals)) };
}

/**
 * @param {Uint8Array} packed @param {number} size of what it was
 * @returns {Uint8Array} fewer bytes than that when the stream has fewer
 * @throws {RangeError} when it is damaged, or has more
 */
export function inflate64(packed, size) {
  const bits = new Bits(packed);
  const out = new Uint8Array(size);
  let at = 0;
  for (let last = 0; !last; ) {
    last = bits.take(1);
    const kind = bits.take(2);
    if (kind === 3) throw new RangeError('no such block');
    if (kind === 0) at = copied(bits, out, at);
    else at = inflated(bits, kind === 1 ? FIXED : readCodes(bits), out, at);
  }
  return out.subarray(0, at);
}

/** A block that is not packed. @param {Bits} bits @param {Uint8Array} out @param {number} at */
function copied(bits, out, at) {
  const [low, high, notLow, notHigh] = bits.whole(4);
  if ((low ^ notLow) !== 0xff || (high ^ notHigh) !== 0xff) throw new RangeError('a block whose length is wrong');
  const part = bits.whole(low | (high << 8));
  if (at + part.length > out.length) throw new RangeError('it is longer than it says');
  out.set(part, at);
  return at + part.length;
}

/** @param {Bits} bits @param {{literals: Code, distances: Code}} codes @param {Uint8Array} out @param {number} at */
function inflated(bits, { literals, distances }, out, at) {
  for (;;) {
    const symbol = bits.symbol(literals);
    if (symbol === END) return at;
    if (symbol < END) {
      if (at >= out.length) throw new RangeError('it is longer than it says');
      out[at++] = symbol;
      continue;
    }
    const code = symbol - END - 1;
    if (code >= LENGTHS.bases.length) throw new RangeError('no such length');
    const length = LENGTHS.bases[code] + bits.take(LENGTHS.extra[code]);
    const far = bits.symbol(distances);
    const distance = DISTANCES.bases[far] + bits.take(DISTANCES.extra[far]);
    if (distance > at) throw new RangeError('a copy of what is before the beginning');
    if (at + length > out.length) throw new RangeError('it is longer than it says');
    repeat(out, at, distance, length);
    at += length;
  }
}

/** @param {Uint8Array} out @param {number} at @param {number} distance @param {number} length */
function repeat(out, at, distance, length) {
  if (distance >= length) {
    out.copyWithin(at, at - distance, at - distance + length);
    return;
  }
  for (const end = at + length; at < end; at++) out[at] = out[at - distance];
}
