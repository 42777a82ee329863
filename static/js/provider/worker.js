/** The provider worker: starts Python at once, as its address says, then hands it the page's commands. */
import { boot } from './boot.js';
import { host } from './host.js';

/** @typedef {import('../messages.js').Command} Command */
/** @typedef {import('../messages.js').Report} Report */

/**
 * What `pyodide_provider.browser.main.start` gives back.
 * @typedef {object} Provider
 * @property {() => void} connect
 * @property {() => void} disconnect
 * @property {() => void} drain
 * @property {(count: number) => void} workers
 * @property {() => void} online
 */

const PROTOCOL = 'wasimoff_provider_v1_protobuf';
const scope = /** @type {import('../messages.js').WorkerScope} */ (/** @type {unknown} */ (globalThis));

/** What is to happen as soon as Python is up. @type {(() => void) | undefined} */
let connect;

/** @param {Report} report */
function tell(report) {
  scope.postMessage(report);
}

/** @param {import('../messages.js').Settings} settings @returns {Promise<Provider>} */
async function start(settings) {
  const began = performance.now();
  // What Python will want first is on its way while it starts.
  const given = host(settings, PROTOCOL, tell);
  const booted = boot(settings, (line) => tell({ type: 'log', line }), () => tell({ type: 'kept' }));
  connect = () => {
    settings.connect = true;
    given.socket.prepare();
  };
  if (settings.connect) connect();
  const { pyodide, slow, program } = await booted;
  given.interpreters.program = program;
  connect = undefined;
  const main = pyodide.pyimport('pyodide_provider.browser.main');
  const started = main.start(given, JSON.stringify(settings));
  main.destroy();
  tell({ type: 'booted', seconds: (performance.now() - began) / 1000, slow });
  return started;
}

/** @param {Command} command */
async function obey(command) {
  if (command.type === 'connect' && connect) return connect();
  const python = await provider.catch(() => null); // which was told
  if (!python) return;
  if (command.type === 'workers') python.workers(command.count);
  else python[command.type]();
}

/** @param {unknown} error */
function fail(error) {
  tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
}

/** @param {MessageEvent<Command>} event */
scope.onmessage = (event) => void obey(event.data).catch(fail);
globalThis.addEventListener('online', () => void provider.then((python) => python.online(), () => {}));
globalThis.addEventListener('unhandledrejection', (event) => fail(event.reason));
// Its settings are in its address: a message would come when the page's first layout is done.
const provider = Promise.resolve(location.hash.slice(1)).then((settings) => start(JSON.parse(decodeURIComponent(settings))));
provider.catch(fail);
