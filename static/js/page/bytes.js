/** Bytes as people and JSON want them. */

const CHUNK = 0x8000;

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let binary = '';
  for (let at = 0; at < bytes.length; at += CHUNK) binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(binary);
}

/** @param {string | undefined} text standard or URL alphabet @returns {Uint8Array<ArrayBuffer>} */
export function fromBase64(text) {
  const binary = atob((text ?? '').replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {number} count of bytes */
export function sizeText(count) {
  if (count < 1024) return `${count} byte${count === 1 ? '' : 's'}`;
  const units = ['KiB', 'MiB', 'GiB'];
  let value = count;
  let unit = '';
  while (value >= 1024 && units.length) {
    value /= 1024;
    unit = units.shift() ?? unit;
  }
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}
