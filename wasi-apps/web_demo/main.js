// Runs tsp.wasm on what is in the text area. The WASI host is browser_wasi_shim; there is no other code.

/** @typedef {typeof import('@bjorn3/browser_wasi_shim')} Shim */
/** @typedef {{ status: number, stdout: string, stderr: string }} Ran */

const PROGRAM = '../travelling_salesman/tsp.wasm';
/** Where `make setup` puts the shim. */
const SHIM = '../../node_modules/@bjorn3/browser_wasi_shim/dist/index.js';

/**
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} type
 * @returns {E}
 */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} called ${id}`);
  return found;
}

const form = element('form', HTMLFormElement);
const cities = element('cities', HTMLTextAreaElement);
const button = element('run', HTMLButtonElement);
const status = element('status', HTMLElement);
const stdout = element('stdout', HTMLElement);
const stderr = element('stderr', HTMLElement);

/** @returns {Promise<Shim>} */
async function loadShim() {
  try {
    return await import(SHIM);
  } catch {
    throw new Error('browser_wasi_shim is missing: run `make setup`, and serve the root of the repository');
  }
}

/** @returns {Promise<WebAssembly.Module>} */
async function loadProgram() {
  const response = await fetch(PROGRAM);
  if (!response.ok) throw new Error(`${PROGRAM}: ${response.status} ${response.statusText}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/**
 * One run with a fresh instance. It blocks the page until the program ends; a real host runs it in a worker.
 * @param {Shim} shim
 * @param {WebAssembly.Module} module
 * @param {string[]} args the first is the program's name
 * @param {Uint8Array} stdin
 * @returns {Promise<Ran>}
 */
async function run(shim, module, args, stdin) {
  const { ConsoleStdout, File, OpenFile, WASI } = shim;
  const outputs = [new TextDecoder(), new TextDecoder()].map((decoder) => {
    let text = '';
    const stream = new ConsoleStdout((bytes) => { text += decoder.decode(bytes, { stream: true }); });
    return { stream, end: () => text + decoder.decode() };
  });
  const fds = [new OpenFile(new File(stdin)), ...outputs.map((output) => output.stream)];
  const wasi = new WASI(args, [], fds, { debug: false });
  const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
  const status = wasi.start(/** @type {Parameters<typeof wasi.start>[0]} */ (instance));
  const [stdout, stderr] = outputs.map((output) => output.end());
  return { status, stdout, stderr };
}

/** @param {Shim} shim @param {WebAssembly.Module} module */
async function solve(shim, module) {
  button.disabled = true;
  status.textContent = 'Computing …';
  stdout.textContent = stderr.textContent = '';
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const started = performance.now();
  const ran = await run(shim, module, ['tsp', 'read'], new TextEncoder().encode(cities.value));
  status.textContent = `Exit code ${ran.status} after ${(performance.now() - started).toFixed(1)} ms`;
  stdout.textContent = ran.stdout;
  stderr.textContent = ran.stderr;
  button.disabled = false;
}

/** @param {unknown} error */
function fail(error) {
  status.textContent = error instanceof Error ? error.message : String(error);
}

try {
  const [shim, module] = await Promise.all([loadShim(), loadProgram()]);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    solve(shim, module).catch((error) => {
      button.disabled = false;
      fail(error);
    });
  });
  button.disabled = false;
  status.textContent = 'Ready';
} catch (error) {
  fail(error);
}
