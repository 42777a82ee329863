import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { zipSync } from 'fflate';
import { app, bytes, cut, openSlot, Storage } from '../slot.mjs';

// (module $m (memory (export "memory") 1) (func $fill (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable) (func (export "_start") (call $fill)))
const GROWS = 'AGFzbQEAAAABBAFgAAADAwIAAAUDAQABBxMCBm1lbW9yeQIABl9zdGFydAABChYCDwADQEEBQABBf0cNAAsACwQAEAALAB4EbmFtZQACAW0BBwEABGZpbGwDCgEAAQAFYWdhaW4=';
// the same without a trap
const GROWS_WELL = 'AGFzbQEAAAABBAFgAAADAgEABQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAAKEAEOAANAQQFAAEF/Rw0ACwsAEQRuYW1lAwoBAAEABWFnYWlu';
// (module (memory (export "memory") 200 300) (func (export "_start")))
const LARGE = 'AGFzbQEAAAABBAFgAAADAgEABQYBAcgBrAIHEwIGbWVtb3J5AgAGX3N0YXJ0AAAKBAECAAs=';
const wasm = (base64) => Buffer.from(base64, 'base64');
const MIB = 1 << 20;

let storage;
let run;
before(async () => {
  storage = await new Storage().open();
  run = openSlot(storage.url, { output: 8 * MIB, files: 8 * MIB });
});
after(() => storage.close());
const program = (name) => ({ ref: storage.put(app(name)) });

test('memory grows to its limit and no further; the same program has another limit the next time', async () => {
  const binary = { ref: storage.put(wasm(GROWS_WELL)) };
  const limits = [1, 64, 4, 64].map((mib) => ({ memory: mib * MIB }));
  const { ends } = await run(limits.map((limit) => ({ binary, limits: limit })));
  assert.deepEqual(ends.map(({ status, usage }) => [status, usage.memory]), limits.map(({ memory }) => [0, memory]));
  assert.deepEqual(ends.map(({ usage }) => usage.cached ?? false), [false, false, false, true]);
});

test('a program that traps with its memory used up was stopped by that limit', async () => {
  const { ends } = await run([{ binary: { blob: [0, wasm(GROWS).length] }, limits: { memory: 16 * MIB } }], new Uint8Array(wasm(GROWS)));
  assert.equal(ends[0].error, 'memory limit exceeded: 16.0 MiB of at most 16.0 MiB in use when the program stopped: unreachable: in fill');
  const { ends: others } = await run([{ binary: program('testing/trap.wasm'), limits: { memory: 16 * MIB } }]);
  assert.match(others[0].error, /^unreachable/);
});

test('a memory that is too large from the start, and one that has a maximum of its own', async () => {
  const binary = { ref: storage.put(wasm(LARGE)) };
  const { ends } = await run([10, 16, 100].map((mib) => ({ binary, limits: { memory: mib * MIB } })));
  assert.equal(ends[0].error, 'memory limit exceeded: 12.5 MiB of at most 10.0 MiB needed to begin');
  assert.deepEqual(ends.slice(1).map(({ status }) => status), [0, 0]);
});

test('limits of one run: output and files', async () => {
  const bigout = program('testing/bigout.wasm');
  const of = (count, limits) => ({ binary: bigout, args: ['bigout', String(count)], limits });
  const { ends } = await run([of(101, { output: 100 }), of(100, { output: 100 }), of(101, {})]);
  assert.equal(ends[0].error, 'output limit exceeded: more than 100 bytes');
  assert.deepEqual(ends.slice(1).map(({ status }) => status), [0, 0]);
  const hello = { binary: program('helloworld/helloworld-c.wasm'), args: ['p', 'write:/a', 'x'.repeat(1000)] };
  const { ends: written } = await run([{ ...hello, limits: { files: 1000 } }, hello]);
  assert.equal(written[0].error, 'files limit exceeded: more than 1000 bytes');
  assert.equal(written[1].status, 0);
});

test('usage: what went in, what was compiled, what was used', async () => {
  const cat = program('testing/cat.wasm');
  const { ends } = await run([{ binary: cat, stdin: [0, 5] }, { binary: cat, stdin: [0, 5] }], bytes('hello'));
  const size = app('testing/cat.wasm').length;
  for (const { usage } of ends) assert.equal(usage.bytes_in, size + 5);
  assert.ok(ends[0].usage.compile > 0);
  assert.deepEqual([ends[1].usage.compile, ends[1].usage.cached], [undefined, true]);
  assert.ok(ends[1].usage.cpu >= 0 && ends[1].usage.memory >= 65536);
});

test('a run with a limit of time, or that is followed, says when it begins; others do not', async () => {
  const noop = program('testing/noop.wasm');
  const { said } = await run([{ binary: noop }, { binary: noop, limits: { wall: 5 } }, { binary: noop, follow: true }, { binary: noop, limits: { memory: MIB } }]);
  const told = said.flatMap(({ began, ended = [] }) => (began === undefined ? ended.map(({ key }) => `ended ${key}`) : [`began ${began}`]));
  assert.deepEqual(told, ['ended 0', 'began 1', 'ended 1', 'began 2', 'ended 2', 'ended 3']);
});

test('what a followed run writes is told while it runs, in order, and all of it at its end', async () => {
  const { said, ends } = await run([{ binary: program('testing/bigout.wasm'), args: ['bigout', String(2 * MIB)], follow: true }]);
  const parts = said.filter(({ output }) => output);
  assert.ok(parts.length > 1 && parts.length <= 2 * MIB / 65536 + 5, `${parts.length} messages`);
  const whole = cut(ends[0].body, ends[0].stdout);
  const told = parts.map(({ output, body }) => cut(body, output.stdout)).join('');
  assert.ok(told.length > MIB && whole.startsWith(told));
  assert.equal(whole.length, 2 * MIB);
  assert.ok(parts.every(({ output }) => output.key === 0 && output.stderr[1] === 0));
});

test('stdin that is a blob', async () => {
  const cat = program('testing/cat.wasm');
  const { ends } = await run([{ binary: cat, stdin: { ref: storage.put(bytes('from afar')) } }, { binary: cat, stdin: { ref: `sha256:${'0'.repeat(64)}` } }]);
  assert.equal(cut(ends[0].body, ends[0].stdout), 'from afar');
  assert.match(ends[1].error, /^Ref not found in storage/);
});

test('what is large is stored when it may be, and only then', async () => {
  const of = (count, more) => ({ binary: program('testing/bigout.wasm'), args: ['bigout', String(count)], ...more });
  const { ends } = await run([of(MIB + 1, { by_reference: true }), of(MIB, { by_reference: true }), of(MIB + 1, {})]);
  const { ref } = ends[0].stdout;
  assert.equal(storage.blobs.get(ref).length, MIB + 1);
  assert.equal(ends[0].usage.bytes_out, MIB + 1);
  assert.deepEqual(ends.slice(1).map(({ stdout, usage }) => [stdout[1], usage.bytes_out]), [[MIB, undefined], [MIB + 1, undefined]]);
  storage.refusal = [413, 'full'];
  const { ends: refused } = await run([of(MIB + 1, { by_reference: true })]);
  assert.equal(refused[0].error, `the output is too large to be stored: ${MIB + 1} bytes; full`);
  storage.refusal = [503, 'busy'];
  const { ends: broken } = await run([of(MIB + 1, { by_reference: true })]);
  assert.match(broken[0].broken, /^output could not be stored: .* answered 503/);
  storage.refusal = null;
});

test('several roots: each at its path, later ones over earlier ones, unpacked once', async () => {
  const zip = (files) => storage.put(zipSync(Object.fromEntries(Object.entries(files).map(([name, content]) => [name, bytes(content)]))));
  const [base, over, deep] = [zip({ 'a.txt': 'base', 'b.txt': 'base' }), zip({ 'a.txt': 'over' }), zip({ 'x/c.txt': 'deep' })];
  const binary = program('helloworld/helloworld-c.wasm');
  const one = { binary, args: ['p', 'cat:/a.txt', 'cat:/b.txt', 'cat:/lib/x/c.txt'], rootfs: { ref: base }, roots: [['/', { ref: over }], ['/lib', { ref: deep }]] };
  const { ends } = await run([one, one]);
  for (const end of ends) assert.ok(cut(end.body, end.stdout).endsWith('overbasedeep'), cut(end.body, end.stdout));
  assert.equal(storage.asked.filter((ref) => ref === base).length, 1);
  const bad = (path, ref) => ({ binary, roots: [[path, { ref }]] });
  const { ends: wrong } = await run([bad('lib', deep), bad('/a/../b', deep), bad('/lib', storage.put(bytes('no zip')))]);
  assert.deepEqual(wrong.map(({ error }) => error), [
    'root at lib: its path is not absolute, or has dots in it',
    'root at /a/../b: its path is not absolute, or has dots in it',
    'root at /lib: not a zip archive',
  ]);
});
