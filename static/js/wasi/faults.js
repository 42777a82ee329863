/** How a run can fail: `Fault` is the task's own and never tried again, `Broken` is ours and may be tried elsewhere. */
import { Stop } from './errno.js';

export class Fault extends Error {
  name = 'Fault';
}

export class Broken extends Error {
  name = 'Broken';
}

/** An amount of bytes that one run may use up; to use more is a fault that names the limit. */
export class Budget {
  /** @param {string} name @param {number} limit in bytes */
  constructor(name, limit) {
    this.name = name;
    this.limit = limit;
    this.used = 0;
  }

  /** @param {number} amount  negative to give back */
  take(amount) {
    this.used += amount;
    if (this.used > this.limit) throw new Fault(`${this.name} limit exceeded: more than ${this.limit} bytes`);
  }
}

/** A trap's kind, as wasmtime words it, by what V8, SpiderMonkey and JavaScriptCore say. The first match counts. */
const KINDS = /** @type {[RegExp, string][]} */ ([
  [/call stack|too much recursion|stack overflow/i, 'stack overflow'],
  [/memory access out of bounds|index out of bounds|out of bounds memory/i, 'out of bounds memory access'],
  [/table index|table access|out of bounds table|out of bounds call_indirect|undefined element/i, 'undefined element: out of bounds table access'],
  [/signature mismatch|function signature/i, 'indirect call type mismatch'],
  [/null function|uninitialized element|call_indirect to a null|indirect call to null/i, 'indirect call to null'],
  [/(divide|division|remainder) by zero/i, 'integer divide by zero'],
  [/(divide|division) result unrepresentable|integer overflow|signed integer overflow/i, 'integer overflow'],
  [/unrepresentable in integer|invalid conversion|truncat/i, 'invalid conversion to integer'],
  [/unaligned/i, 'unaligned atomic'],
  [/null reference|dereferencing a null/i, 'null reference'],
  [/unreachable/i, 'unreachable'],
]);

/**
 * What made a program stop, in the words that native providers use too; and in which function, if the module names it.
 * @param {unknown} thrown
 * @returns {string}
 */
export function trapText(thrown) {
  if (thrown instanceof Stop) return thrown.message;
  if (!(thrown instanceof Error)) return isException(thrown) ? 'uncaught exception' : String(thrown);
  const name = functionName(thrown.stack ?? '');
  return name ? `${kind(thrown)}: in ${name}` : kind(thrown);
}

/** @param {Error} error */
function kind({ message }) {
  return KINDS.find(([pattern]) => pattern.test(message))?.[1] ?? message;
}

/** @param {unknown} thrown */
function isException(thrown) {
  const { Exception } = /** @type {{Exception?: Function}} */ (WebAssembly);
  return Exception !== undefined && thrown instanceof Exception;
}

/**
 * The innermost function of the program, out of a stack as V8 or SpiderMonkey print it; "" when it has no name.
 * @param {string} stack
 */
function functionName(stack) {
  const frame = stack.split('\n').find((line) => /wasm-function\[\d+\]/.test(line)) ?? '';
  const match = /^\s*at (\S.*) \(wasm:/.exec(frame) ?? /^(?!wasm-function)([^@]+)@/.exec(frame);
  return match ? match[1].slice(0, 200) : '';
}
