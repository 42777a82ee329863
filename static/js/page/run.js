/** The page for developers: upload a program, run it, see what it says. */
import { curlCommand, wasimoffCommand } from './commands.js';
import { button, element, html, input, say, textarea } from './elements.js';
import { obstacle, showFacts } from './facts.js';
import { clear, showResult } from './result.js';
import { runTask, taskOf } from './task.js';
import { Upload } from './upload.js';

const form = element('form', HTMLFormElement);
const programName = { ref: '', name: '' };

/** @type {AbortController | null} */
let running = null;

const program = new Upload('program', notWasm,
  ({ file, ref }) => {
    programName.ref = ref;
    programName.name = file.name;
    say(html('fact-digest'), ref);
    void inspect(file);
    showCommands();
  },
);
const rootfs = new Upload('rootfs', notZip, () => showCommands());

/** @param {File} file @returns {Promise<string>} its first four bytes, a character each */
async function magic(file) {
  return String.fromCharCode(...new Uint8Array(await file.slice(0, 4).arrayBuffer()));
}

/** @param {File} file */
async function notWasm(file) {
  html('program-facts').hidden = true;
  return (await magic(file)) === '\0asm' ? '' : `${file.name} is not a WebAssembly module: it does not begin with \\0asm.`;
}

/** @param {File} file */
async function notZip(file) {
  return (await magic(file)).startsWith('PK') ? '' : `${file.name} is not a zip archive.`;
}

/** @param {File} file */
async function inspect(file) {
  try {
    say(html('program-error'), obstacle(await showFacts(file)));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say(html('program-error'), `${file.name} does not compile here: ${reason.replace(/^WebAssembly\.\w+\(\): /, '')}`);
  }
}

function task() {
  const binary = input('program-ref').value;
  return taskOf({
    binary,
    program: binary.trim() === programName.ref ? programName.name : '',
    args: input('args').value,
    envs: textarea('envs').value,
    stdin: textarea('stdin').value,
    rootfs: input('rootfs-ref').value,
    artifacts: textarea('artifacts').value,
  });
}

function showCommands() {
  try {
    const now = task();
    say(html('command'), wasimoffCommand(now));
    say(html('curl'), curlCommand(now));
  } catch {
    say(html('command'), `wasimoff run --broker ${location.origin} PROGRAM.wasm ARGUMENTS`);
    say(html('curl'), `curl ${location.origin}/api/client/run/PROGRAM -H 'X-Args: ARGUMENTS' -X POST`);
  }
}

async function run() {
  if (running) return;
  say(html('run-error'), '');
  if (program.busy || rootfs.busy) return say(html('run-error'), 'The upload is not finished yet.');
  running = new AbortController();
  try {
    const asked = task();
    clear();
    enter(true);
    showResult(await runTask(asked, running.signal));
  } catch (error) {
    say(html('run-error'), error instanceof Error ? error.message : String(error));
  } finally {
    running = null;
    enter(false);
  }
}

/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;

/** @param {boolean} busy */
function enter(busy) {
  button('run').disabled = busy;
  button('cancel').hidden = !busy;
  document.documentElement.dataset.state = busy ? 'running' : 'idle';
  clearInterval(ticking);
  say(html('run-state'), busy ? 'Running …' : '');
  say(html('run-note'), '');
  if (!busy) return;
  const began = performance.now();
  ticking = setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000);
    say(html('run-state'), `Running … ${seconds} s`);
    if (seconds % 3 === 1) void explain();
  }, 1000);
}

/** Why a task waits, when the broker knows: nobody lends, or all are busy. */
async function explain() {
  const response = await fetch('/api/status').catch(() => null);
  const status = response?.ok ? await response.json().catch(() => null) : null;
  if (running) say(html('run-note'), status?.queue?.note ?? '');
}

/** @param {HTMLElement} from a button with data-copy */
async function copy(from) {
  const text = html(from.dataset.copy ?? '').textContent ?? '';
  const label = from.textContent;
  from.textContent = (await toClipboard(text)) ? 'Copied' : 'Select and copy';
  setTimeout(() => (from.textContent = label), 1500);
}

/** Over plain HTTP there is no clipboard: then the text is selected instead. @param {string} text */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void run();
});
form.addEventListener('input', showCommands);
form.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run();
});
button('cancel').onclick = () => running?.abort();
document.querySelectorAll('.copy').forEach((it) => it instanceof HTMLElement && it.addEventListener('click', () => void copy(it)));
// A file that misses its place must not replace the page.
for (const kind of ['dragover', 'drop']) addEventListener(kind, (event) => event.preventDefault());

const given = new URLSearchParams(location.hash.slice(1)).get('ref');
if (given) input('program-ref').value = given;
showCommands();
enter(false);
