/** The workers that do a slot's threads: started when they are needed, a few at a time, and kept for the next threads of the run. */
import { Box } from './mailbox.js';

const STARTING = 4; // at a time: a program that starts too many is stopped before they are all there
const SPARE = 2; // that wait for the next run, once there was one

/** @typedef {import('./thread.js').Start} Start */
/** @typedef {import('./thread.js').ThreadEnd} ThreadEnd */
/** @typedef {{worker: Worker, box: Box, ready: boolean, began: number, used: boolean}} Hand  `used`: it may still hold a memory */
/** @typedef {{ended: (end: ThreadEnd, hand: Hand) => void, rung: () => void}} Listener */

export class Crew {
  /** Those that do a thread. @type {Set<Hand>} */
  busy = new Set();
  /** @type {Set<Hand>} */
  #others = new Set();
  /** @type {Start[]} */
  #waiting = [];
  /** @type {Listener | null} */
  #listener = null;

  /** @param {Listener} listener of a run, until `dismiss` */
  listen(listener) {
    this.#listener = listener;
  }

  /** @param {Start} start */
  begin(start) {
    this.#waiting.push(start);
    this.#assign();
  }

  /** Ends all threads, also those that are not there yet. */
  dismiss() {
    this.#listener = null;
    this.#waiting = [];
    for (const hand of this.busy) this.#end(hand);
    for (const hand of this.#others) if (hand.used) this.#end(hand);
    while (this.#others.size < SPARE) this.#hire();
  }

  #assign() {
    for (const hand of this.#others) {
      if (!hand.ready) continue;
      const start = this.#waiting.shift();
      if (!start) return;
      this.#others.delete(hand);
      this.busy.add(hand);
      hand.box.clear();
      hand.began = performance.now();
      hand.used = true;
      hand.worker.postMessage({ thread: start });
    }
    const coming = [...this.#others].filter(({ ready }) => !ready).length;
    for (let more = Math.min(this.#waiting.length, STARTING) - coming; more > 0; more--) this.#hire();
  }

  #hire() {
    const worker = new Worker(location.href, { name: 'thread' });
    /** @type {Hand} */
    const hand = { worker, box: new Box(), ready: false, began: 0, used: false };
    this.#others.add(hand);
    worker.onmessage = ({ data }) => this.#heard(hand, data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(hand);
      this.#listener?.ended({ broken: `a worker for a thread failed: ${event.message || 'its script could not be loaded'}` }, hand);
    };
    worker.postMessage({ join: hand.box.shared });
  }

  /** @param {Hand} hand @param {ThreadEnd | 'ready' | null} said */
  #heard(hand, said) {
    if (said === null) {
      this.#listener?.rung();
    } else if (said === 'ready') {
      hand.ready = true;
      this.#assign();
    } else {
      this.busy.delete(hand);
      this.#others.add(hand);
      this.#listener?.ended(said, hand);
      this.#assign();
    }
  }

  /** @param {Hand} hand */
  #end(hand) {
    this.busy.delete(hand);
    this.#others.delete(hand);
    hand.worker.onmessage = hand.worker.onerror = null;
    hand.worker.terminate();
  }
}
