/**
 * One run of a program with threads: all of them, the first included, are in workers of their own; here are its files and streams.
 *
 * It is over when the first thread returns, any calls `proc_exit` or traps, or a limit is passed. The others are ended with their workers.
 */
import { Broken, Fault } from '../faults.js';
import { steadyTime } from '../clock.js';
import { memoryFault } from '../limits.js';
import { PAGE } from '../sections.js';
import { Exit } from '../system_calls.js';
import { Bell } from './mailbox.js';
import { thrownBy } from './thread.js';

const MOST_ID = 2 ** 29 - 1;
const JOINING = 50; // ms that a thread which is one too many waits: one that was joined has still to return
const JOINING_AGAIN = 150; // the same, in a program whose threads do return
const TURN = 8; // ms of answering before others in this worker have their turn
const LINGER = 0.2; // ms that the next call is waited for
const FLUSH = 50; // ms until what was written last is told, when nothing is called
const EVERY = 5; // ms between two looks whether there is input
const LATER = Symbol('later');
const SPAWN = 'thread-spawn';
const FIRST = 0; // id of the first thread
const NOT_ISOLATED = 'its threads share memory, which a page that is not cross-origin isolated can not do';
const OWN_MEMORY = 'a program with threads has one memory, the shared one that it imports';

/** @typedef {import('../host.js').Host} Host */
/** @typedef {import('./crew.js').Crew} Crew */
/** @typedef {import('./crew.js').Hand} Hand */
/** @typedef {import('./mailbox.js').Box} Box */
/** @typedef {import('./thread.js').ThreadEnd} ThreadEnd */
/** @typedef {{status: number} | {thrown: unknown}} Outcome */
/** @typedef {{box: Box, name: string, args: import('./mailbox.js').Value[], since: number}} Call  since: by the steady clock */

/**
 * @typedef {object} Program
 * @property {WebAssembly.Module} module
 * @property {import('./imports.js').Threaded} threads
 */

export class Process {
  #calls;
  #bell = new Bell();
  #again = new MessageChannel(); // to go on answering after the others' turn
  #newest = 0;
  #returned = false;
  #alive = new Set([FIRST]);
  #used = 0; // ms of processor time of threads that have ended
  /** @type {{box: Box, argument: number, timer: ReturnType<typeof setTimeout>}[]} */
  #spawning = [];
  /** Calls that wait for input. @type {Call[]} */
  #asleep = [];
  /** Tells what was written, in a run that is followed. @type {(() => void) | null} */
  #flush = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idle;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #look;
  /** @type {((outcome: Outcome) => void) | null} null once it is over */
  #resolve = null;

  /**
   * @param {Host} host @param {Crew} crew @param {Program} program @param {{memory: number, threads: number}} limits
   * @throws {Fault | Broken | RangeError} when it can't be run so
   */
  constructor(host, crew, program, limits) {
    if (globalThis.crossOriginIsolated !== true) throw new Broken(NOT_ISOLATED);
    if (program.threads.owns) throw new Fault(OWN_MEMORY);
    this.host = host;
    this.crew = crew;
    this.program = program;
    this.limits = limits;
    this.memory = shared(program.threads.memory, limits.memory);
    this.#calls = [...Object.keys(host.wasiImport), SPAWN];
    this.#again.port1.onmessage = () => this.#answer();
  }

  /** @returns {Promise<{outcome: Outcome, cpu: number}>}  `cpu`: ms of all threads, as far as they can be told */
  async run() {
    this.host.guest.attach({ memory: this.memory });
    this.#flush = this.host.pausing;
    this.host.pausing = () => {
      throw LATER;
    };
    const outcome = await new Promise((/** @type {(outcome: Outcome) => void} */ resolve) => {
      this.#resolve = resolve;
      this.crew.listen({ ended: (end, hand) => this.#ended(end, hand), rung: () => this.#answer() });
      this.#begin(FIRST, 0);
    });
    return { outcome, cpu: this.#used };
  }

  /** Whether there is one thread, at most. */
  get alone() {
    return this.#alive.size <= 1;
  }

  get #running() {
    return this.#resolve !== null;
  }

  /** The first end counts: from here on no call is answered. @param {Outcome} outcome */
  #end(outcome) {
    if (!this.#resolve) return;
    for (const hand of this.crew.busy) this.#used += busyTime(hand);
    this.crew.dismiss();
    for (const { timer } of this.#spawning) clearTimeout(timer);
    clearTimeout(this.#look);
    clearTimeout(this.#idle);
    this.#again.port1.close();
    this.#resolve(outcome);
    this.#resolve = null;
  }

  /** @param {ThreadEnd} end @param {Hand} hand */
  #ended(end, hand) {
    this.#used += busyTime(hand);
    if (!('returned' in end)) return this.#end({ thrown: thrownBy(end) });
    if (end.returned === FIRST) return this.#end({ status: 0 });
    this.#alive.delete(end.returned);
    this.#returned = true;
    const next = this.#spawning.shift();
    if (!next) return;
    clearTimeout(next.timer);
    this.#spawn(next.box, next.argument);
  }

  /** Answers calls until none has come for a while. */
  #answer() {
    const until = performance.now() + TURN;
    while (this.#running) {
      const heard = this.#bell.rung;
      const asked = [...this.crew.busy].filter(({ box }) => box.asked);
      for (const { box } of asked) if (this.#running) this.#do(box);
      if (performance.now() > until) return this.#again.port2.postMessage(null);
      if (!asked.length && !this.#bell.wait(heard, LINGER) && this.#bell.sleep(heard)) return this.#rest();
    }
  }

  /** Nobody calls. */
  #rest() {
    if (!this.#flush) return;
    this.#idle ??= setTimeout(() => {
      this.#idle = undefined;
      this.#flush?.();
    }, FLUSH);
  }

  /** @param {Box} box */
  #do(box) {
    const [number, args] = box.read();
    const name = this.#calls[number];
    if (name === SPAWN) return this.#spawn(box, Number(args[0]));
    this.#call({ box, name, args, since: steadyTime() });
  }

  /** @param {Call} call */
  #call(call) {
    this.host.asOf = call.since;
    try {
      call.box.answer(/** @type {(...args: any[]) => number} */ (this.host.wasiImport[call.name])(...call.args));
    } catch (thrown) {
      if (thrown === LATER) this.#sleep(call);
      else this.#end(thrown instanceof Exit ? { status: thrown.code & 0xff } : { thrown });
    }
    this.host.asOf = null;
  }

  /** Nobody waits here: a call for input that has not come is made once more. @param {Call} call */
  #sleep(call) {
    this.host.stopped = null;
    call.box.sleep.fallAsleep();
    this.#asleep.push(call);
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      for (const again of this.#asleep.splice(0)) if (this.#running) this.#call(again);
    }, EVERY);
  }

  /** @param {Box} box of who asks @param {number} argument */
  #spawn(box, argument) {
    const { threads } = this.limits;
    if (this.#alive.size >= threads) {
      const timer = setTimeout(() => this.#end({ thrown: new Fault(`threads limit exceeded: more than ${threads}`) }), this.#returned ? JOINING_AGAIN : JOINING);
      this.#spawning.push({ box, argument, timer });
      return;
    }
    do this.#newest = (this.#newest % MOST_ID) + 1;
    while (this.#alive.has(this.#newest));
    this.#alive.add(this.#newest);
    this.#begin(this.#newest, argument);
    box.answer(this.#newest);
  }

  /** @param {number} id @param {number} argument */
  #begin(id, argument) {
    const { module, threads } = this.program;
    this.crew.begin({ module, memory: this.memory, place: threads.memory, calls: this.#calls, bell: this.#bell.shared, id, argument });
  }
}

/** @param {import('./imports.js').SharedMemory} wanted @param {number} limit in bytes */
function shared({ minimum, maximum }, limit) {
  const most = Math.floor(limit / PAGE);
  if (minimum > most) throw memoryFault(minimum * PAGE, limit, 'needed to begin');
  return new WebAssembly.Memory({ initial: minimum, maximum: Math.min(maximum, most), shared: true });
}

/** @param {Hand} hand */
function busyTime({ began, box }) {
  return Math.max(performance.now() - began - box.sleep.slept, 0);
}
