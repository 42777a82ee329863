/**
 * Ends that wait to be told: those of quick runs ride in one message, for a message costs more than such a run.
 *
 * While a program runs nothing can be sent. So an end is held back only when the next run is known to be quick (the same
 * program took less than QUICK with these arguments and this much stdin), and never for longer than HOLD.
 */

const HOLD = 1.5; // ms, checked after each run: with the next one it stays below 2
const QUICK = 0.5; // ms
const REMEMBERED = 512;

/** @typedef {import('../messages.js').RunField} RunField */
/** @typedef {import('./run.js').End & {key: number, seconds: number, usage?: import('../messages.js').Usage}} KeyedEnd */

export class Outbox {
  /** @type {KeyedEnd[]} */
  #held = [];
  #since = 0;
  /** @type {Map<string, number>} */
  #took = new Map();

  /** @param {(header: string, body: Uint8Array<ArrayBuffer>) => void} send */
  constructor(send) {
    this.send = send;
  }

  /** Before a run: lets go of what is held unless this one will be quick. @param {RunField} run */
  before(run) {
    if (this.#held.length && !((this.#took.get(signature(run)) ?? Infinity) < QUICK)) this.flush();
  }

  /** After a run. @param {RunField} run @param {KeyedEnd} end @param {boolean} more  whether others are waiting */
  after(run, end, more) {
    const now = performance.now();
    if (!this.#held.length) this.#since = now;
    this.#held.push(end);
    if (!more || now - this.#since >= HOLD) return this.flush();
    if (this.#took.size >= REMEMBERED) this.#took.clear();
    this.#took.set(signature(run), end.seconds * 1000);
  }

  flush() {
    if (!this.#held.length) return;
    const { header, body } = encode(this.#held);
    this.#held = [];
    this.send(header, body);
  }
}

/** @param {RunField} run */
function signature(run) {
  const binary = 'ref' in run.binary ? run.binary.ref : run.binary.blob[1];
  const stdin = Array.isArray(run.stdin) ? run.stdin[1] : run.stdin?.ref;
  return [binary, stdin, ...run.args].join('\0');
}

/**
 * @param {KeyedEnd[]} ends
 * @returns {{header: string, body: Uint8Array<ArrayBuffer>}}
 */
function encode(ends) {
  /** @type {Uint8Array[]} */
  const parts = [];
  let length = 0;
  /** @param {Uint8Array | {ref: string} | undefined} bytes */
  const place = (bytes) => {
    if (!(bytes instanceof Uint8Array)) return bytes;
    if (!bytes.length) return undefined;
    parts.push(bytes);
    length += bytes.length;
    return [length - bytes.length, bytes.length];
  };
  const ended = ends.map(({ stdout, stderr, artifacts, ...rest }) => ({ ...rest, stdout: place(stdout), stderr: place(stderr), artifacts: place(artifacts) }));
  return { header: JSON.stringify({ ended }), body: joined(parts, length) };
}

/** @param {Uint8Array[]} parts @param {number} length of all */
export function joined(parts, length) {
  const body = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}
