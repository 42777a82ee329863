/** How a run can fail: `Fault` is the task's own and never tried again, `Broken` is ours and may be tried elsewhere. */
import { Stop } from './errno.js';

export class Fault extends Error {
  name = 'Fault';
}

export class Broken extends Error {
  name = 'Broken';
}

const MAX_FRAMES = 16;
const MAX_NAME = 200;

/** A trap's kind, as wasmtime words it, by what V8, SpiderMonkey and JavaScriptCore say. The first match counts. */
const KINDS = /** @type {[RegExp, string][]} */ ([
  [/call stack|too much recursion|stack overflow/i, 'stack overflow'],
  [/memory access out of bounds|index out of bounds|out of bounds memory|data segment .*out of bounds/i, 'out of bounds memory access'],
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
 * What made a program stop, in the words that native providers use too; and in which functions, as far as the module names them.
 * @param {unknown} thrown
 * @param {string} module the name that the module gives itself
 * @returns {string}
 */
export function trapText(thrown, module) {
  if (thrown instanceof Stop) return thrown.message;
  if (!(thrown instanceof Error)) return isException(thrown) ? 'uncaught exception' : String(thrown);
  const lines = functionNames(thrown.stack ?? '', module).map((name) => `in ${printable(name)}`);
  return lines.length ? `${kind(thrown)}: ${lines.join('\n  ')}` : kind(thrown);
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
 * The functions of the program that were running, the innermost first, out of a stack as V8 (which puts the module's name
 * before them) or SpiderMonkey print it; those without a name are left out.
 * @param {string} stack @param {string} module
 */
function functionNames(stack, module) {
  const names = [];
  for (const line of stack.split('\n')) {
    if (names.length === MAX_FRAMES) break;
    const found = /^\s*at (.+) \(\S+:wasm-function\[\d+\]:0x[0-9a-f]+\)$/.exec(line) ?? /^(?!wasm-function)(.+)@\S+:wasm-function\[/.exec(line);
    const name = found?.[1] ?? '';
    if (name && name !== module) names.push(module && name.startsWith(`${module}.`) ? name.slice(module.length + 1) : name);
  }
  return names;
}

/** @param {string} name */
function printable(name) {
  return name.slice(0, MAX_NAME).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
}
