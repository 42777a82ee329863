/**
 * Pyodide's own JavaScript, without the work that it does at every start for what most starts never need: more than half of what
 * an interpreter costs that is restored from a snapshot (bench/python_tasks.py). Text in, text out.
 *
 * - Its 4 900 exports get a variable and a property each, of which 140 are ever named: the others have none.
 * - All 8 600 symbols of the program are entered into the tables of the dynamic linker, which needs them when it loads an
 *   extension module, or is asked for one by name: that is when it gets them.
 * - 270 functions of OpenGL are made callable by pointer, each by a WebAssembly module of its own. Here is no canvas: the
 *   pointers are null.
 * - To find out that it is in no classic worker it makes an exception, for which V8 parses the whole script once more.
 *
 * A snapshot holds pointers into the table that the linker fills: it fits only what has been changed in the same way.
 */

const ASSIGNED = /^(_\w+)=Module\["_\w+"\]=wasmExports\["\w+"\](?:\.value>>>0)?$/;
const EXPORTS = 'function assignWasmExports(wasmExports){';
const DECLARED = /var ((?:\w+,){1000,}\w+);/;
const CLASSIC_WORKER = 'try{return globalThis.importScripts("data:text/javascript,"),!0}catch{return!1}';

// Emscripten's own functions. `main` and `GOT` hold what is needed at once: how a plain start begins, what the program imports.
const LINK_ALL = `
var linked=false;
var linkAll=exports=>{if(!linked){linked=true;mergeLibSymbols(exports,"main");updateGOT(exports)}};
var linkFirst=exports=>{
  var first={};
  for(var name of["main","__main_argc_argv",...Object.keys(GOT)])if(name in exports)first[name]=exports[name];
  mergeLibSymbols(first,"main");updateGOT(first);
  for(var [name,entry] of Object.entries(GOT))if(entry.value==-1&&/^(emscripten_)?gl[A-Z]/.test(name))entry.value=0
};
var origExports;`.replace(/\n\s*/g, '');

/**
 * @param {string} program pyodide.asm.mjs
 * @param {string[]} beside all other scripts that may name what it has
 * @returns {string}
 * @throws {Error} when it is of another make
 */
export function slimProgram(program, beside) {
  let text = withoutUnused(program, beside);
  text = replaced(text, CLASSIC_WORKER, 'return!1');
  text = replaced(text, EXPORTS, `${LINK_ALL}${EXPORTS}`);
  text = replaced(text, 'var origExports=wasmExports;mergeLibSymbols(wasmExports,"main");', 'origExports=wasmExports;');
  text = replaced(text, 'updateGOT(origExports);LDSO.init()', 'linkFirst(origExports);LDSO.init()');
  for (const asks of ['var loadWebAssemblyModule=(binary,flags,libName,localScope,handle)=>{', 'function __dlsym_js(handle,symbol,symbolIndex){']) {
    text = replaced(text, asks, `${asks}linkAll(origExports);`);
  }
  return text;
}

/** @param {string} loader pyodide.mjs */
export function slimLoader(loader) {
  return replaced(loader, CLASSIC_WORKER, 'return!1').replace(/^\/\/# sourceMappingURL=.*$/m, '');
}

/** @param {string} program @param {string[]} beside */
function withoutUnused(program, beside) {
  const begin = program.indexOf(EXPORTS) + EXPORTS.length;
  const end = program.indexOf('}', begin);
  const declared = DECLARED.exec(program);
  const statements = program.slice(begin, end).split(';');
  if (begin < EXPORTS.length || !declared || !statements.some((it) => ASSIGNED.test(it))) throw unknown('how it names its exports');
  const rest = [program.slice(0, begin).replace(declared[0], ''), program.slice(end).replace(declared[0], ''), ...beside];
  const used = new Set(rest.flatMap((text) => text.match(/\b_\w+\b/g) ?? []));
  const dropped = new Set(statements.map((it) => ASSIGNED.exec(it)?.[1] ?? '').filter((name) => name && !used.has(name)));
  const kept = statements.filter((it) => !dropped.has(ASSIGNED.exec(it)?.[1] ?? ''));
  const variables = declared[1].split(',').filter((name) => !dropped.has(name));
  return `${program.slice(0, begin)}${kept.join(';')}${program.slice(end)}`.replace(declared[0], () => `var ${variables.join(',')};`);
}

/** @param {string} text @param {string} old that is there once @param {string} put */
function replaced(text, old, put) {
  if (text.split(old).length !== 2) throw unknown(old);
  return text.replace(old, () => put);
}

/** @param {string} what */
function unknown(what) {
  return new Error(`this Pyodide is of another make than scripts/slim_pyodide.mjs knows: ${what}`);
}
