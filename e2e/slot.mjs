/** For unit tests: a slot under Node, with a storage of its own that takes and gives blobs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Slot } from '../static/js/wasi/slot.js';

const APPS = new URL('../wasi-apps/', import.meta.url);

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (data) => new TextDecoder().decode(data);
export const app = (name) => readFileSync(new URL(name, APPS));
const refOf = (blob) => `sha256:${createHash('sha256').update(blob).digest('hex')}`;

export class Storage {
  blobs = new Map();
  asked = [];
  /** Status and text that an upload is answered with instead. */
  refusal = null;

  async open() {
    this.server = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      if (request.method === 'POST') {
        if (this.refusal) response.writeHead(this.refusal[0]).end(this.refusal[1]);
        else response.end(`${this.put(Buffer.concat(parts))}\n`);
        return;
      }
      const ref = request.url.slice(1);
      this.asked.push(ref);
      const blob = this.blobs.get(ref);
      // Node's fetch fails when a connection that it had kept is closed just then.
      response.writeHead(blob ? 200 : 404, { 'Content-Type': 'application/wasm', Connection: 'close' }).end(blob ?? 'no');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => this.server.once('listening', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  put(blob) {
    const ref = refOf(blob);
    this.blobs.set(ref, blob);
    return ref;
  }
}

/** A slot: `run` gives all that it said until the last of some runs ended. */
export function openSlot(storage, limits) {
  const said = [];
  let waiting = () => {};
  const slot = new Slot({ storage, limits }, (header, body) => {
    said.push({ ...JSON.parse(header), body });
    waiting();
  });
  const run = async (runs, body = new Uint8Array(0)) => {
    const from = said.length;
    const ends = () => said.slice(from).flatMap(({ ended = [], body: own }) => ended.map((end) => ({ ...end, body: own })));
    slot.take(runs.map((run, key) => ({ key, args: ['x'], ...run })), body);
    while (ends().length < runs.length) await new Promise((resolve) => (waiting = resolve));
    return { said: said.slice(from), ends: ends() };
  };
  return Object.assign(run, { slot });
}

export const cut = (body, [from, length]) => text(body.subarray(from, from + length));
