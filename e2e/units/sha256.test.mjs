import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { sha256, sha256InJs } from '../../static/js/shared/sha256.js';

const reference = (bytes) => createHash('sha256').update(bytes).digest('hex');

test('the digest in plain JavaScript is SHA-256, at every length around a block', () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = new Uint8Array(randomBytes(length));
    assert.equal(sha256InJs(bytes), reference(bytes), `${length} bytes`);
  }
  const large = new Uint8Array(randomBytes(3_000_001));
  assert.equal(sha256InJs(large), reference(large));
});

test('a view into a larger buffer gives the digest of the view', () => {
  const view = new Uint8Array(randomBytes(1000)).subarray(13, 500);
  assert.equal(sha256InJs(view), reference(view));
});

test('without crypto.subtle the digest is the same', async () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const secure = await sha256(bytes);
  const crypto = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
  Object.defineProperty(globalThis, 'crypto', { value: undefined, configurable: true });
  try {
    assert.equal(await sha256(bytes), secure);
  } finally {
    if (crypto) Object.defineProperty(globalThis, 'crypto', crypto);
  }
});
