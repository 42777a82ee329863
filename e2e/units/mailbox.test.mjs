/** Calls of many threads at once, who answers asleep now and then: none is lost, all have their own answer. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { Bell, Box } from '../../static/js/wasi/threads/mailbox.js';

const CALLS = 3000;
const CALLER = `
  import { parentPort, workerData } from 'node:worker_threads';
  import { Bell, Box } from '${new URL('../../static/js/wasi/threads/mailbox.js', import.meta.url)}';
  const { box: shared, bell: bellShared, first, calls } = workerData;
  const [box, bell] = [new Box(shared), new Bell(bellShared, () => parentPort.postMessage('rung'))];
  let wrong = 0;
  for (let call = 0; call < calls; call++) {
    const value = first + call;
    if (box.ask(call % 7, [value, BigInt(value) << 33n, -value], bell) !== value + (call % 7)) wrong++;
    if (call % 100 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
  }
  parentPort.postMessage({ wrong });
`;

/** Takes its time to fall asleep, so that it is rung just then. */
class Drowsy extends Bell {
  sleep(heard) {
    for (const until = performance.now() + 0.05; performance.now() < until; );
    return super.sleep(heard);
  }
}

/** Answers what is asked, as a run of a program with threads does. @param {Box[]} boxes @param {Bell} bell */
function answer(boxes, bell) {
  for (;;) {
    const heard = bell.rung;
    const asked = boxes.filter((box) => box.asked);
    for (const box of asked) {
      const [call, [value, wide, negative]] = box.read();
      assert.equal(wide, BigInt(value) << 33n);
      assert.equal(negative, -value);
      box.answer(Number(value) + call);
    }
    if (!asked.length && !bell.wait(heard, 0) && bell.sleep(heard)) return;
  }
}

/** @param {number} count of threads */
async function exchange(count) {
  const [bell, boxes] = [new Drowsy(), Array.from({ length: count }, () => new Box())];
  let slept = 0;
  const threads = boxes.map(
    (box, index) =>
      new Promise((resolve, reject) => {
        const workerData = { box: box.shared, bell: bell.shared, first: (index + 1) * 1_000_000, calls: CALLS };
        const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(CALLER)}`), { workerData });
        worker.unref();
        worker.on('error', reject);
        worker.on('message', (said) => {
          if (said !== 'rung') return resolve(said.wrong);
          slept++;
          answer(boxes, bell);
        });
      }),
  );
  assert.deepEqual(await Promise.all(threads), Array(count).fill(0));
  assert.ok(slept > 10, `it was woken ${slept} times`);
}

// With one thread a call that is lost is not found by another's bell.
for (const count of [1, 4]) test(`no call of ${count} is lost, and each gets its own answer`, { timeout: 30_000 }, () => exchange(count));

test('what a thread slept is counted while it sleeps, too', async () => {
  const box = new Box();
  box.sleep.fallAsleep();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const [first, second] = [box.sleep.slept, new Box(box.shared).sleep.slept];
  assert.ok(first > 10 && second >= first);
  box.answer(0);
  const slept = box.sleep.slept;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(box.sleep.slept, slept);
  box.clear();
  assert.equal(box.sleep.slept, 0);
});
