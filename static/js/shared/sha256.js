/**
 * SHA-256 of bytes, as lower-case hex. Pages served by plain http from another machine have no `crypto.subtle`; there
 * the digest is computed here (FIPS 180-4), which costs about 5 ms per MiB.
 */

const ROUND = Uint32Array.from({ length: 64 }, (_, index) => fraction(prime(index), 3));
const INITIAL = Uint32Array.from({ length: 8 }, (_, index) => fraction(prime(index), 2));

/** @param {number} index @returns {number} the prime of that index, from 0 */
function prime(index) {
  for (let candidate = 2, found = -1; ; candidate++) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor) divisor++;
    if (divisor * divisor > candidate && ++found === index) return candidate;
  }
}

/** @param {number} value @param {number} root @returns {number} the first 32 bits of the fraction of value^(1/root) */
function fraction(value, root) {
  const real = value ** (1 / root);
  return ((real - Math.floor(real)) * 0x100000000) | 0;
}

/** @param {Uint8Array} bytes @returns {Uint8Array} the last one or two blocks: what is left, a one bit, zeros, the length */
function padded(bytes) {
  const rest = bytes.length % 64;
  const tail = new Uint8Array(rest < 56 ? 64 : 128);
  tail.set(bytes.subarray(bytes.length - rest));
  tail[rest] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(tail.length - 4, bytes.length << 3);
  return tail;
}

/**
 * @param {Uint32Array} state @param {Uint32Array} words 64 words of scratch
 * @param {Uint8Array} bytes @param {number} end a multiple of 64
 */
function compress(state, words, bytes, end) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = 0; offset < end; offset += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(offset + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = words[i - 15];
      const y = words[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + words[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

/** @param {Uint8Array} bytes */
export function sha256InJs(bytes) {
  const state = INITIAL.slice();
  const words = new Uint32Array(64);
  compress(state, words, bytes, bytes.length - (bytes.length % 64));
  const tail = padded(bytes);
  compress(state, words, tail, tail.length);
  return Array.from(state, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} 64 hex digits */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return sha256InJs(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
