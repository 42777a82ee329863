import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { InputReader, InputWriter, makeInput } from '../../static/js/shared/input.js';
import { app, cut, openSlot, bytes, text } from '../slot.mjs';

test('what is put is taken once, as far as it fits', () => {
  const memory = makeInput(6);
  const [writer, reader] = [new InputWriter(memory), new InputReader(memory)];
  assert.equal(reader.ready, false);
  writer.put(bytes('abc'), false);
  assert.equal(text(reader.take(2)), 'ab');
  assert.equal(reader.ready, true);
  writer.put(bytes('defghij'), true);
  writer.put(bytes('after the end'), true);
  assert.equal(text(reader.take(99)) + text(reader.take(99)), 'cdefgh');
  assert.equal(reader.ready, true);
  assert.equal(reader.take(99).length, 0);
});

test('more than it holds goes through it, in parts of all lengths', () => {
  const memory = makeInput(10);
  const [writer, reader] = [new InputWriter(memory), new InputReader(memory)];
  const data = bytes('0123456789abcdefghijklmnopqrstuvwxyz'.repeat(50));
  const got = [];
  let put = 0;
  for (let round = 1; got.length < data.length; round++) {
    const part = data.subarray(put, put + Math.min(round % 11, 10 - reader.filled));
    writer.put(part, false);
    put += part.length;
    got.push(...reader.take((round * 7) % 10));
  }
  assert.deepEqual(Uint8Array.from(got), data);
});

test('what is counted begins anew at 4 GiB', () => {
  const memory = makeInput(10);
  new Int32Array(memory, 0, 4).fill(-3, 1, 3);
  const [writer, reader] = [new InputWriter(memory), new InputReader(memory)];
  for (const part of ['abcd', 'efgh', 'ijkl']) {
    writer.put(bytes(part), false);
    assert.equal(text(reader.take(4)) + text(reader.take(4)), part);
  }
  assert.equal(reader.ready, false);
});

test('an end without anything is ready', () => {
  const memory = makeInput(1);
  new InputWriter(memory).put(bytes(''), true);
  const reader = new InputReader(memory);
  assert.equal(reader.ready, true);
  assert.equal(reader.take(1).length, 0);
});

test('who waits is woken by what comes, and by the end', async () => {
  const memory = makeInput(100);
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ InputReader }) => {
      const reader = new InputReader(workerData.memory);
      for (;;) {
        while (!reader.ready) reader.wait();
        const data = Buffer.from(reader.take(10)).toString();
        parentPort.postMessage(data);
        if (!data) break;
      }
    });`;
  const module = new URL('../../static/js/shared/input.js', import.meta.url).href;
  const worker = new Worker(code, { eval: true, workerData: { memory, module } });
  const heard = [];
  const writer = new InputWriter(memory);
  writer.put(bytes('0'), false);
  worker.on('message', (data) => {
    heard.push(data);
    if (heard.length < 4) writer.put(bytes(String(heard.length)), false);
    else writer.put(bytes(''), true);
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  assert.deepEqual(heard, ['0', '1', '2', '3', '']);
});

test('a slot reads the input of its run, and of no other', async () => {
  const run = openSlot({ url: 'http://127.0.0.1:9' }, { output: 1 << 20, files: 1 << 20 });
  const program = new Uint8Array(app('testing/lines.wasm'));
  const binary = { blob: [0, program.length] };
  const memory = makeInput(100);
  new InputWriter(memory).put(bytes('a\nb\n'), true);
  run.slot.open(0, memory);
  const first = await run([{ binary, interactive: true }], program.slice());
  assert.equal(cut(first.ends[0].body, first.ends[0].stdout), '1: a\n2: b\n2 lines\n');
  const second = await run([{ binary }], program.slice());
  assert.equal(cut(second.ends[0].body, second.ends[0].stdout), '0 lines\n');
});
