import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { InputReader, InputWriter, makeInput } from '../../static/js/shared/input.js';
import { app, cut, openSlot, bytes, text } from '../slot.mjs';

test('what is put is read once, as far as it fits', () => {
  const memory = makeInput(6);
  const [writer, reader] = [new InputWriter(memory), new InputReader(memory)];
  assert.equal(reader.ready, false);
  writer.put(bytes('abc'), false);
  assert.equal(text(reader.read(2).slice()), 'ab');
  assert.equal(reader.ready, true);
  writer.put(bytes('defg'), true);
  writer.put(bytes('after the end'), true);
  assert.equal(text(reader.read(99).slice()), 'cdef');
  assert.equal(reader.ready, true);
  assert.equal(reader.read(99).length, 0);
});

test('an end without anything is ready', () => {
  const memory = makeInput(1);
  new InputWriter(memory).put(bytes(''), true);
  const reader = new InputReader(memory);
  assert.equal(reader.ready, true);
  assert.equal(reader.read(1).length, 0);
});

test('who waits is woken by what comes, and by the end', async () => {
  const memory = makeInput(100);
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ InputReader }) => {
      const reader = new InputReader(workerData.memory);
      for (;;) {
        while (!reader.ready) reader.wait();
        const data = Buffer.from(reader.read(10).slice()).toString();
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
