import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { zipSync } from 'fflate';
import { Host } from '../../static/js/wasi/host.js';
import { Slot } from '../../static/js/wasi/slot.js';
import { Input } from '../../static/js/wasi/streams.js';

const APPS = new URL('../../wasi-apps/', import.meta.url);
const LIMITS = { output: 1 << 20, files: 1 << 20 };
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

/** A storage: what was put is served by its digest; `answers` says what else a path gives. */
const storage = { blobs: new Map(), answers: new Map(), asked: [] };
let server;

function put(blob) {
  const ref = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
  storage.blobs.set(ref, blob);
  return ref;
}
const program = (name) => put(readFileSync(new URL(name, APPS)));

before(async () => {
  server = createServer((request, response) => {
    const ref = request.url.slice(1);
    storage.asked.push(ref);
    const [status, body] = storage.answers.get(ref) ?? (storage.blobs.has(ref) ? [200, storage.blobs.get(ref)] : [404, 'no']);
    // Node's fetch fails when a connection that it had kept is closed just then; a browser's tries again.
    response.writeHead(status, { 'Content-Type': 'application/wasm', Connection: 'close' }).end(body);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});
after(() => server.close());

/** A slot, what it said, and a way to wait for all ends. */
function open() {
  const messages = [];
  let waiting = () => {};
  const slot = new Slot({ storage: `http://127.0.0.1:${server.address().port}`, limits: LIMITS }, (header, body) => {
    const said = JSON.parse(header);
    messages.push({ said, ends: said.ended ?? [], body });
    waiting();
  });
  const ends = () => messages.flatMap(({ ends: list, body }) => list.map((end) => ({ ...end, body })));
  return {
    slot,
    messages,
    ends,
    async run(runs, body = new Uint8Array(0)) {
      const count = ends().length + runs.length;
      slot.take(runs, body);
      while (ends().length < count) await new Promise((resolve) => (waiting = resolve));
      return ends().slice(-runs.length);
    },
  };
}
const cut = (end, name) => text(end.body.subarray(end[name][0], end[name][0] + end[name][1]));

test('runs are answered in order, each once, with what they wrote', async () => {
  const cat = program('testing/cat.wasm');
  const body = bytes('onetwo');
  const { run } = open();
  const ends = await run([
    { key: 7, binary: { ref: cat }, args: ['cat'], stdin: [0, 3] },
    { key: 8, binary: { ref: cat }, args: ['cat'] },
    { key: 9, binary: { ref: cat }, args: ['cat'], stdin: [3, 3] },
  ], body);
  assert.deepEqual(ends.map(({ key, status }) => [key, status]), [[7, 0], [8, 0], [9, 0]]);
  assert.equal(cut(ends[0], 'stdout'), 'one');
  assert.equal(ends[1].stdout, undefined);
  assert.equal(cut(ends[2], 'stdout'), 'two');
});

test('a program is fetched once, and quick runs of one message are answered in one message', async () => {
  const noop = program('testing/noop.wasm');
  const { run, messages } = open();
  const runs = (from) => Array.from({ length: 16 }, (_, i) => ({ key: from + i, binary: { ref: noop }, args: ['noop'] }));
  await run(runs(0));
  storage.asked.length = 0;
  const before = messages.length;
  await run(runs(100));
  assert.ok(messages.length - before < 16, 'not one message each');
  assert.deepEqual(storage.asked, []);
});

test('an end is not held back while a program runs that is not known to be quick', async () => {
  const [noop, busy] = [program('testing/noop.wasm'), program('testing/busy.wasm')];
  const { run, messages } = open();
  const quick = (key) => ({ key, binary: { ref: noop }, args: ['noop'] });
  await run([quick(1), quick(2), { key: 3, binary: { ref: busy }, args: ['busy', '1', 'x'] }]);
  const began = messages.length;
  await run([quick(4), quick(5), { key: 6, binary: { ref: busy }, args: ['busy', '120', 'x'] }]);
  const [first] = messages.slice(began);
  assert.deepEqual(first.ends.map(({ key }) => key), [4, 5]);
});

test('ends of quick runs are held back for 2 ms at most', async () => {
  const noop = program('testing/noop.wasm');
  const { run, messages } = open();
  const runs = (count) => Array.from({ length: count }, (_, key) => ({ key, binary: { ref: noop }, args: ['noop'] }));
  await run(runs(50));
  const before = messages.length;
  await run(runs(20_000));
  const later = messages.slice(before);
  assert.ok(later.length > 5, `a long batch is answered in parts, not in ${later.length}`);
  assert.ok(later.length < 5000, 'but not one by one');
});

test('what a slot can not have is told apart: missing, wrong, broken, unreachable', async () => {
  const { run } = open();
  const missing = `sha256:${'0'.repeat(64)}`;
  const wrong = `sha256:${'1'.repeat(64)}`;
  const broken = `sha256:${'2'.repeat(64)}`;
  storage.answers.set(wrong, [200, bytes('something else')]);
  storage.answers.set(broken, [503, 'busy']);
  const runs = [missing, wrong, broken].map((ref, key) => ({ key, binary: { ref }, args: ['x'] }));
  const ends = await run(runs);
  assert.match(ends[0].error, /^Ref not found in storage: sha256:0000/);
  assert.match(ends[1].broken, /^sha256:1111.* was fetched, but its bytes are sha256:/);
  assert.match(ends[2].broken, /answered 503/);
});

test('bad programs are named, and the slot goes on', async () => {
  const { run } = open();
  const empty = bytes('\0asm\x01\0\0\0');
  const importing = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 9, 1, 3, 101, 110, 118, 1, 102, 0, 0, 3, 2, 1, 0, 7, 10, 1, 6, 95, 115, 116, 97, 114, 116, 0, 1, 10, 4, 1, 2, 0, 11]);
  const noop = readFileSync(new URL('testing/noop.wasm', APPS));
  const blobs = [bytes('hello'), empty, importing, noop.subarray(0, 40), noop];
  const body = Buffer.concat(blobs);
  let at = 0;
  const runs = blobs.map((blob, key) => ({ key, args: ['x'], binary: { blob: [(at += blob.length) - blob.length, blob.length] } }));
  const ends = await run(runs, new Uint8Array(body));
  assert.match(ends[0].error, /^not a WebAssembly module: it does not begin with \\0asm$/);
  assert.match(ends[1].error, /^no _start function/);
  assert.match(ends[2].error, /^unknown import: env\.f \(function\)$/);
  assert.match(ends[3].error, /^not a WebAssembly module that this browser can run: /);
  assert.equal(ends[4].status, 0);
});

test('a rootfs is unpacked once, and a bad one is an error of the task', async () => {
  const { run } = open();
  const hello = program('helloworld/helloworld-wat.wasm');
  const good = put(zipSync({ 'a.txt': bytes('x') }));
  const bad = put(zipSync({ '../a.txt': bytes('x') }));
  const of = (ref, key) => ({ key, binary: { ref: hello }, args: ['hello'], rootfs: { ref } });
  const ends = await run([of(good, 1), of(bad, 2), of(good, 3)]);
  assert.equal(ends[0].status, 0);
  assert.match(ends[1].error, /leads outside of the archive/);
  assert.equal(ends[2].status, 0);
  assert.equal(storage.asked.filter((ref) => ref === good).length, 1);
});

test('output beyond the limit is an error that names it', async () => {
  const { run } = open();
  const bigout = program('testing/bigout.wasm');
  const of = (key, count) => ({ key, binary: { ref: bigout }, args: ['bigout', String(count)] });
  const [fits, beyond] = await run([of(1, LIMITS.output), of(2, LIMITS.output + 1)]);
  assert.equal(fits.status, 0);
  assert.equal(fits.stdout[1], LIMITS.output);
  assert.equal(beyond.error, `output limit exceeded: more than ${LIMITS.output} bytes`);
});

test('a pushed blob is not fetched; one with a wrong digest is', async () => {
  const { slot, run } = open();
  const noop = readFileSync(new URL('testing/noop.wasm', APPS));
  const pushed = `sha256:${createHash('sha256').update(noop).digest('hex')}`;
  const cat = program('testing/cat.wasm');
  slot.push({ [pushed]: [0, noop.length], [cat]: [0, 3] }, new Uint8Array(noop));
  storage.blobs.delete(pushed);
  storage.asked.length = 0;
  const ends = await run([pushed, cat].map((ref, key) => ({ key, binary: { ref }, args: ['x'] })));
  assert.deepEqual(ends.map(({ status }) => status), [0, 0]);
  assert.deepEqual(storage.asked, [cat]);
});

test('arguments and environment take as many bytes as they were said to', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const view = new DataView(memory.buffer);
  const words = ['Grüße', '', '日本語', '🦀'];
  const host = new Host();
  host.begin(words, words.map((word) => `K=${word}`), [new Input(new Uint8Array(0))]);
  host.guest.attach({ memory });
  const imports = host.wasiImport;
  for (const [kind, prefix] of [['args', ''], ['environ', 'K=']]) {
    imports[`${kind}_sizes_get`](0, 4);
    assert.equal(view.getUint32(0, true), words.length);
    const size = view.getUint32(4, true);
    new Uint8Array(memory.buffer).fill(0xee, 1000);
    imports[`${kind}_get`](100, 1000);
    assert.equal(text(new Uint8Array(memory.buffer, 1000, size)), words.map((word) => `${prefix}${word}\0`).join(''));
    assert.equal(view.getUint8(1000 + size), 0xee, 'nothing is written behind it');
  }
});

test('arguments are counted in UTF-8', async () => {
  const { run } = open();
  const hello = program('helloworld/helloworld-rust.wasm');
  const [end] = await run([{ key: 1, binary: { ref: hello }, args: ['hello', 'Grüße', '日本語', '🦀'] }]);
  assert.equal(end.status, 0, end.error);
  for (const word of ['Grüße', '日本語', '🦀']) assert.ok(cut(end, 'stdout').includes(word), word);
});
