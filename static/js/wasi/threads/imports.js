/** What a module with threads imports: a memory that is shared, and how to start threads (wasi-threads). */
import { Fault } from '../faults.js';
import { Reader } from '../sections.js';

const IMPORT_SECTION = 2;
const MEMORY_SECTION = 5;
const HEADER = 8;
const [FUNCTION, TABLE, MEMORY, GLOBAL, TAG] = [0, 1, 2, 3, 4];
const [HAS_MAXIMUM, IS_SHARED, IS_64_BIT] = [1, 2, 4];
const UNSTABLE = 'it shares its memory and imports wasi_unstable: threads are of WASI preview 1';
const REFERENCES = [0x63, 0x64]; // types of two parts

/** @typedef {{module: string, name: string, minimum: number, maximum: number}} SharedMemory  in pages */
/** @typedef {{memory: SharedMemory, spawns: boolean, owns: boolean}} Threaded  `owns`: it has a memory of its own, too */

/**
 * @param {Uint8Array} bytes of a module that the engine has taken @param {WebAssembly.Module} module
 * @returns {Threaded | null} null: it shares no memory
 * @throws {Fault} when it starts threads, but lacks what they need
 */
export function threadsOf(bytes, module) {
  const imports = WebAssembly.Module.imports(module);
  const spawns = imports.some(isSpawn);
  const memory = imports.some(({ kind }) => kind === 'memory') ? sharedMemory(bytes) : null;
  if (spawns && !memory) throw new Fault('it imports wasi.thread-spawn, but no shared memory for its threads');
  if (!memory) return null;
  if (imports.some(({ module: from }) => from === 'wasi_unstable')) throw new Fault(UNSTABLE);
  const entry = WebAssembly.Module.exports(module).find(({ name }) => name === 'wasi_thread_start');
  if (spawns && entry?.kind !== 'function') throw new Fault('it imports wasi.thread-spawn, but has no wasi_thread_start function for its threads');
  return { memory, spawns, owns: hasMemory(bytes) };
}

/** @param {WebAssembly.ModuleImportDescriptor} wanted */
export function isSpawn({ module, name, kind }) {
  return module === 'wasi' && name === 'thread-spawn' && kind === 'function';
}

/** @param {Uint8Array} bytes @returns {SharedMemory | null} the first one */
function sharedMemory(bytes) {
  const reader = section(bytes, IMPORT_SECTION);
  if (!reader) return null;
  for (let left = reader.number(); left > 0; left--) {
    const [module, name] = [text(reader), text(reader)];
    const kind = reader.byte();
    if (kind === MEMORY) {
      const { flags, minimum, maximum } = limits(reader);
      if (flags & IS_SHARED && !(flags & IS_64_BIT)) return { module, name, minimum, maximum };
    } else {
      skip(reader, kind);
    }
  }
  return null;
}

/** @param {Uint8Array} bytes */
function hasMemory(bytes) {
  return (section(bytes, MEMORY_SECTION)?.number() ?? 0) > 0;
}

/** @param {Uint8Array} bytes @param {number} wanted */
function section(bytes, wanted) {
  const reader = new Reader(bytes, HEADER);
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const length = reader.number();
    if (id === wanted) return reader;
    reader.at += length;
  }
  return null;
}

/** @param {Reader} reader */
function text(reader) {
  const length = reader.number();
  reader.at += length;
  return new TextDecoder().decode(reader.bytes.subarray(reader.at - length, reader.at));
}

/** @param {Reader} reader */
function limits(reader) {
  const flags = reader.byte();
  const minimum = reader.number();
  return { flags, minimum, maximum: flags & HAS_MAXIMUM ? reader.number() : Infinity };
}

/** @param {Reader} reader @param {number} kind of an import that is no memory */
function skip(reader, kind) {
  if (kind === FUNCTION) {
    reader.number();
  } else if (kind === TABLE) {
    valueType(reader);
    limits(reader);
  } else if (kind === GLOBAL) {
    valueType(reader);
    reader.byte();
  } else if (kind === TAG) {
    reader.byte();
    reader.number();
  } else {
    throw new RangeError(`an import of kind ${kind}`);
  }
}

/** @param {Reader} reader */
function valueType(reader) {
  if (REFERENCES.includes(reader.byte())) reader.number();
}
