import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lru } from '../../static/js/shared/lru.js';

test('what was used longest ago goes when the sum of costs gets too large', () => {
  const kept = new Lru(10);
  kept.set('a', 1, 4);
  kept.set('b', 2, 4);
  assert.equal(kept.get('a'), 1);
  kept.set('c', 3, 4);
  assert.deepEqual([kept.get('a'), kept.get('b'), kept.get('c')], [1, undefined, 3]);
  assert.equal(kept.size, 2);
});

test('one that costs more than all may cost is kept alone, and costs are given back', () => {
  const kept = new Lru(10);
  kept.set('a', 1, 4);
  kept.set('large', 2, 100);
  assert.deepEqual([kept.get('a'), kept.get('large'), kept.size], [undefined, 2, 1]);
  kept.set('b', 3, 5);
  kept.set('c', 4, 5);
  assert.deepEqual([kept.get('large'), kept.get('b'), kept.get('c')], [undefined, 3, 4]);
  kept.set('b', 5, 1);
  kept.set('d', 6, 4);
  assert.equal(kept.size, 3);
});

test('it stays bounded whatever comes', () => {
  const kept = new Lru(1000);
  for (let i = 0; i < 10_000; i++) kept.set(String(i % 777), i, i % 50);
  assert.ok(kept.size < 200);
});
