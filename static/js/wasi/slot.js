/** A slot: takes runs, does them in order, answers each once (docs/slot-protocol.md). Knows nothing of workers. */
import { Blobs } from './blobs.js';
import { Follower } from './follow.js';
import { Host } from './host.js';
import { limitsOf } from './limits.js';
import { joined, Outbox } from './outbox.js';
import { Programs } from './programs.js';
import { Roots } from './roots.js';
import { execute, failure, starved } from './run.js';
import { InputReader } from '../shared/input.js';
import { Input, LiveInput } from './streams.js';
import { Crew } from './threads/crew.js';
import { executeThreads } from './threads/execute.js';

/** @typedef {import('../messages.js').RunField} RunField */
/** @typedef {import('./outbox.js').KeyedEnd} KeyedEnd */
/** @typedef {{run: RunField, body: Uint8Array<ArrayBuffer>}} Waiting */
/** @typedef {{program: import('./programs.js').Program, root: import('./roots.js').Root, stdin: Uint8Array}} AtHand */

const PAUSES = [0, 20, 200]; // ms, before a run is tried again that found no memory
const INLINE = 1 << 20; // bytes of a stream or an archive that go in the message, also when it may be stored
const MOST_LEFT = 256 << 20; // bytes of shared memories of earlier runs
const NOTHING = new Uint8Array(0);

export class Slot {
  /** @type {Waiting[]} */
  #waiting = [];
  #busy = false;
  /** Standard input of the interactive run to come, or that runs. @type {{key: number, stream: LiveInput} | null} */
  #input = null;
  #crew = new Crew();
  #left = 0; // bytes that runs with threads had: a browser may not notice how large they are, and keep them

  /**
   * @param {import('../messages.js').StartField} start
   * @param {(header: string, body: Uint8Array<ArrayBuffer>, memory?: SharedArrayBuffer) => void} send
   */
  constructor(start, send) {
    this.limits = start.limits;
    this.send = send;
    this.host = new Host();
    this.blobs = new Blobs(start.storage);
    this.programs = new Programs(this.blobs, this.host.imports);
    this.roots = new Roots(this.blobs, start.limits.files);
    this.outbox = new Outbox(send);
    this.pushing = Promise.resolve();
  }

  /** @param {Record<string, [number, number]>} blobs @param {Uint8Array<ArrayBuffer>} body */
  push(blobs, body) {
    for (const [ref, [offset, length]] of Object.entries(blobs)) {
      const kept = this.blobs.push(ref, body.slice(offset, offset + length)).catch(() => {}); // a wrong one is fetched when it is needed
      this.pushing = this.pushing.then(() => kept);
    }
  }

  /** @param {number} key of an interactive run to come @param {SharedArrayBuffer} memory its input */
  open(key, memory) {
    const stream = new LiveInput(new InputReader(memory), this.host, (taken) => this.send(JSON.stringify({ taken: [key, taken] }), NOTHING));
    this.#input = { key, stream };
  }

  /** @param {RunField[]} runs @param {Uint8Array<ArrayBuffer>} body */
  take(runs, body) {
    for (const run of runs) this.#waiting.push({ run, body });
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    let next;
    while ((next = this.#waiting.shift())) {
      const { run, body } = next;
      this.outbox.before(run);
      let end = this.#now(run, body) ?? (await this.#later(run, body));
      for (const pause of PAUSES) {
        if (!starved(end) || this.#input?.stream.taken) break; // what was taken can't be given again
        end = await this.#again(run, body, pause);
      }
      if (run.by_reference && isLarge(end)) end = await this.#stored(end);
      if (run.interactive) this.#input = null;
      const spent = this.#left > MOST_LEFT;
      this.outbox.after(run, end, this.#waiting.length > 0 && !spent);
      if (spent) return this.send(JSON.stringify({ spent }), NOTHING);
    }
    this.#busy = false;
  }

  /**
   * Tries a run again that found no memory: what earlier runs took is given back between turns only.
   * @param {RunField} run @param {Uint8Array<ArrayBuffer>} body @param {number} pause in milliseconds
   */
  async #again(run, body, pause) {
    this.outbox.flush();
    await new Promise((resolve) => setTimeout(resolve, pause));
    return this.#later(run, body);
  }

  /**
   * Does a run whose program and files are at hand, without giving way.
   * @param {RunField} run @param {Uint8Array<ArrayBuffer>} body
   */
  #now(run, body) {
    const program = this.programs.kept(run.binary, limitsOf(run, this.limits).memory);
    const root = this.roots.kept(run);
    const stdin = stdinOf(run, body);
    return program && !program.threads && root && stdin ? this.#do(run, { program, root, stdin }) : undefined;
  }

  /** @param {RunField} run @param {Uint8Array<ArrayBuffer>} body @returns {Promise<KeyedEnd>} */
  async #later(run, body) {
    this.outbox.flush();
    try {
      await this.pushing;
      const { memory } = limitsOf(run, this.limits);
      const program = this.programs.kept(run.binary, memory) ?? (await this.programs.load(run.binary, body, memory));
      const root = this.roots.kept(run) ?? (await this.roots.load(run, body));
      const stdin = stdinOf(run, body) ?? (await this.blobs.get(/** @type {{ref: string}} */ (run.stdin).ref));
      const atHand = { program, root, stdin };
      if (!program.threads) return this.#do(run, atHand);
      const ran = await executeThreads(this.host, this.#crew, program.threads, this.#given(run, atHand));
      this.#left += ran.memory;
      return told(run, atHand, ran);
    } catch (thrown) {
      return { key: run.key, seconds: 0, ...failure(thrown) };
    }
  }

  /** @param {RunField} run @param {AtHand} atHand @returns {KeyedEnd} */
  #do(run, atHand) {
    return told(run, atHand, execute(this.host, this.#given(run, atHand)));
  }

  /** @param {RunField} run @param {AtHand} atHand @returns {import('./run.js').Given} */
  #given(run, { program, root, stdin }) {
    return {
      module: program.module,
      args: run.args,
      envs: run.envs ?? [],
      artifacts: run.artifacts ?? [],
      stdin: this.#input?.key === run.key && run.interactive ? this.#input.stream : new Input(stdin),
      root: root.tree,
      limits: limitsOf(run, this.limits),
      begin: (stdout, stderr) => this.#begin(run, stdout, stderr),
    };
  }

  /** @param {RunField} run @param {import('./streams.js').Output} stdout @param {import('./streams.js').Output} stderr */
  #begin(run, stdout, stderr) {
    if (!run.limits?.wall && !run.follow) return;
    this.outbox.flush();
    this.send(JSON.stringify({ began: run.key }), NOTHING, this.host.sleep?.shared);
    if (!run.follow) return;
    const follower = new Follower([stdout, stderr], (out, err) => this.#tell(run.key, out, err));
    this.host.pausing = () => follower.flush();
  }

  /** @param {number} key @param {Uint8Array} out @param {Uint8Array} err */
  #tell(key, out, err) {
    const output = { key, stdout: [0, out.length], stderr: [out.length, err.length] };
    this.send(JSON.stringify({ output }), joined([out, err], out.length + err.length));
  }

  /** What is large goes to the broker's storage. @param {KeyedEnd} end @returns {Promise<KeyedEnd>} */
  async #stored(end) {
    this.outbox.flush();
    try {
      const sizes = PARTS.map((part) => sizeOf(end[part]));
      const stored = { ...end };
      for (const part of PARTS) {
        const bytes = end[part];
        if (bytes instanceof Uint8Array && bytes.length > INLINE) stored[part] = { ref: await this.blobs.store(new Uint8Array(bytes)) };
      }
      return { ...stored, usage: { ...end.usage, bytes_out: sizes.reduce((sum, size) => sum + size) } };
    } catch (thrown) {
      return { key: end.key, seconds: end.seconds, ...failure(thrown), usage: end.usage };
    }
  }
}

const PARTS = /** @type {const} */ (['stdout', 'stderr', 'artifacts']);

/** @param {RunField} run @param {AtHand} atHand @param {import('./run.js').Ran} ran @returns {KeyedEnd} */
function told(run, { program, root, stdin }, { end, seconds, cpu, memory }) {
  const compiled = program.seconds ? { compile: rounded(program.seconds) } : { cached: true };
  const usage = { cpu: rounded(cpu), memory, bytes_in: program.size + root.packed + stdin.length, ...compiled };
  return { key: run.key, seconds: rounded(seconds), ...end, usage };
}

/** @param {Uint8Array | {ref: string} | undefined} part */
function sizeOf(part) {
  return part instanceof Uint8Array ? part.length : 0;
}

/** @param {KeyedEnd} end */
function isLarge(end) {
  return PARTS.some((part) => sizeOf(end[part]) > INLINE);
}

/** @param {RunField} run @param {Uint8Array} body @returns {Uint8Array | undefined} undefined when it is to be fetched */
function stdinOf({ stdin }, body) {
  if (!stdin) return NOTHING;
  return Array.isArray(stdin) ? body.subarray(stdin[0], stdin[0] + stdin[1]) : undefined;
}

/** @param {number} seconds */
function rounded(seconds) {
  return Math.round(seconds * 1e6) / 1e6;
}
