/** What runs find as their "/": zips unpacked once, one over the other, shared by all runs of a worker that have the same. */
import { Lru } from '../shared/lru.js';
import { Fault } from './faults.js';
import { mount, Problem } from './tree.js';
import { unpack } from './zip.js';

/** @typedef {import('../messages.js').RunField} RunField */
/** @typedef {import('../messages.js').FileField} FileField */
/** @typedef {{tree: import('./tree.js').Tree | null, packed: number}} Root  `packed` bytes of zips */

const KEPT_BYTES = 96 << 20; // in each worker; a larger one is kept alone
const ENTRY_COST = 256; // what a file costs us beside its bytes
/** @type {Root} */
const EMPTY = { tree: null, packed: 0 };

export class Roots {
  /** @type {Lru<Root>} */
  #kept = new Lru(KEPT_BYTES);

  /** @param {import('./blobs.js').Blobs} blobs @param {number} limit bytes of all files that are unpacked for a run */
  constructor(blobs, limit) {
    this.blobs = blobs;
    this.limit = limit;
  }

  /** @param {RunField} run @returns {Root | undefined} undefined when it is to be unpacked */
  kept(run) {
    const layers = layersOf(run);
    if (!layers.length) return EMPTY;
    const key = keyOf(layers);
    return key === null ? undefined : this.#kept.get(key);
  }

  /**
   * @param {RunField} run @param {Uint8Array<ArrayBuffer>} body of the message that names it
   * @returns {Promise<Root>}
   * @throws {Fault} when one is no zip, or beyond the limits; Broken when it can't be had now
   */
  async load(run, body) {
    const layers = layersOf(run);
    /** @type {import('./tree.js').Tree} */
    const tree = new Map();
    let [size, packed, cost] = [0, 0, 0];
    for (const [path, file] of layers) {
      const bytes = 'ref' in file ? await this.blobs.get(file.ref) : body.subarray(file.blob[0], file.blob[0] + file.blob[1]);
      const layer = unpack(bytes, this.limit, size, path === '/' ? 'rootfs' : `root at ${path.slice(0, 200)}`);
      over(tree, path, layer.tree);
      size += layer.size;
      packed += bytes.length;
      cost += layer.size + layer.entries * ENTRY_COST;
    }
    const root = { tree, packed };
    const key = keyOf(layers);
    if (key !== null) this.#kept.set(key, root, cost);
    return root;
  }
}

/** @param {RunField} run @returns {[string, FileField][]} */
function layersOf({ rootfs, roots }) {
  if (!roots?.length) return rootfs ? [['/', rootfs]] : [];
  return rootfs ? [['/', rootfs], ...roots] : roots;
}

/** @param {import('./tree.js').Tree} tree @param {string} path @param {import('./tree.js').Tree} layer */
function over(tree, path, layer) {
  try {
    mount(tree, path, layer);
  } catch (error) {
    throw error instanceof Problem ? new Fault(`root at ${path.slice(0, 200)}: ${error.message}`) : error;
  }
}

/** @param {[string, FileField][]} layers @returns {string | null} null when one is not known by its digest */
function keyOf(layers) {
  let key = '';
  for (const [path, file] of layers) {
    if (!('ref' in file)) return null;
    key += `${file.ref} ${path}\0`;
  }
  return key;
}
