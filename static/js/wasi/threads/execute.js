/** One run of a program with threads, from its module to its end. */
import { conclude, prepare } from '../run.js';
import { Input, NoInput } from '../streams.js';
import { Process } from './process.js';

/**
 * @param {import('../host.js').Host} host @param {import('./crew.js').Crew} crew
 * @param {import('./imports.js').Threaded} threads @param {import('../run.js').Given} given
 * @returns {Promise<import('../run.js').Ran>}
 * @throws {Fault | Broken} before it began
 */
export async function executeThreads(host, crew, threads, given) {
  const process = new Process(host, crew, { module: given.module, threads }, given.limits);
  const none = given.stdin instanceof Input && !given.stdin.rest.length;
  const ready = prepare(host, none ? { ...given, stdin: new NoInput(() => process.alone, host) } : given);
  const from = performance.now();
  const { outcome, cpu } = await process.run();
  const seconds = (performance.now() - from) / 1000;
  host.guest.detach();
  return conclude(ready, given, outcome, { seconds, cpu: cpu / 1000, memory: process.memory.buffer.byteLength });
}
