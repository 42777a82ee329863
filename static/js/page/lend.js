/** The page that lends: wires buttons, settings, the lock and the provider worker together. Status comes from there. */
import { notices } from './checks.js';
import { button, html, input } from './elements.js';
import { OriginLock } from './lock.js';
import { Log } from './log.js';
import { Pace } from './pace.js';
import { Provider } from './provider.js';
import { browserName, remember, remembered, settings } from './settings.js';
import { View } from './view.js';
import { Wake } from './wake.js';

/** @typedef {import('./view.js').Stage} Stage */
/** @typedef {import('../messages.js').Status} Status */

const RESTART_SECONDS = 5;
const RESTART_MOST = 60;

class Lending {
  /** @type {Status | null} */
  #status = null;
  /** @type {Stage} */
  #stage = 'idle';
  #reason = '';
  #crashes = 0;
  #lost = false;
  /** @type {import('./checks.js').Notice[]} */
  missing = [];

  /** @param {Provider} provider which may have been started already */
  constructor(provider) {
    this.chosen = settings(location.hash);
    this.log = new Log(html('log'), this.chosen.verbose);
    this.view = new View();
    this.pace = new Pace();
    this.wake = new Wake();
    this.lock = new OriginLock(() => this.#taken());
    this.provider = provider;
  }

  begin() {
    this.missing = notices();
    this.view.notices(this.missing);
    this.view.workers(this.chosen.workers);
    if (this.missing.some(({ kind }) => kind === 'bad')) return this.#enter('impossible');
    this.#listen();
    this.provider.listen((report) => this.#heard(report));
    this.#enter('idle');
    if (this.chosen.autoconnect) void this.connect();
  }

  #listen() {
    button('connect').onclick = () => void this.connect();
    button('disconnect').onclick = () => this.disconnect();
    button('take-over').onclick = () => void this.#takeOver();
    button('fewer').onclick = () => this.setWorkers(this.chosen.workers - 1);
    button('more').onclick = () => this.setWorkers(this.chosen.workers + 1);
    html('awake-row').hidden = !Wake.available;
    input('awake').checked = remembered('awake') !== 'no';
    input('awake').onchange = () => {
      remember('awake', input('awake').checked ? 'yes' : 'no');
      this.#enter(this.#stage, this.#reason);
    };
    document.addEventListener('wasimoff-drain', () => this.drain());
    addEventListener('hashchange', () => location.reload());
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      this.pace.tick((now - last) / 1000);
      last = now;
      this.view.chart(this.pace);
      if (this.#stage === 'connected') this.view.show(this.#stage, this.#status, this.#reason);
    }, 1000);
  }

  async connect() {
    const ours = this.lock.take();
    if (this.provider.running) this.#enter('starting');
    else void this.#start(); // Python starts while the lock is asked for
    if (await ours) return this.#run();
    this.provider.stop();
    this.#enter('blocked');
    if (await this.lock.wait()) {
      this.log.add('the other tab is gone: lending here');
      await this.#run();
    }
  }

  async #takeOver() {
    if (await this.lock.steal()) await this.#run();
  }

  disconnect() {
    this.lock.release();
    if (this.#stage === 'crashed' || this.#stage === 'starting') this.provider.stop();
    if (this.provider.running) this.provider.send({ type: 'disconnect' });
    else this.#enter('idle');
  }

  /** Finishes what runs, then stops: what the headless launcher asks for before it ends. */
  drain() {
    if (this.provider.running && this.#stage !== 'starting') this.provider.send({ type: 'drain' });
    else this.#finished();
  }

  /** @param {number} count */
  setWorkers(count) {
    this.chosen.workers = Math.max(0, count);
    remember('workers', String(this.chosen.workers));
    this.view.workers(this.chosen.workers);
    this.provider.send({ type: 'workers', count: this.chosen.workers });
  }

  async #run() {
    if (this.provider.running || (await this.#start())) this.provider.send({ type: 'connect' });
  }

  /** Starts Python, which connects when it is told to. */
  async #start() {
    delete document.documentElement.dataset.finished;
    this.#enter('starting');
    try {
      return await this.provider.start(this.chosen, browserName());
    } catch (error) {
      this.#crashed(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** A server that was away may have come back with other files, and will not keep ours for ever. */
  async #renew() {
    if (!(await this.provider.outdated())) return;
    this.log.add('the server was updated: loading the page again');
    const fragment = new URLSearchParams(location.hash.slice(1));
    fragment.set('autoconnect', 'yes');
    history.replaceState(null, '', `#${fragment}`);
    location.reload();
  }

  #taken() {
    this.provider.stop();
    this.log.add('another tab of this browser took over');
    this.#enter('blocked', 'Another tab of this browser took over. This one takes its turn when that is closed.');
    void this.lock.wait().then((ours) => (ours ? this.#run() : undefined));
  }

  #finished() {
    this.provider.stop();
    this.lock.release();
    this.#enter('idle');
    document.documentElement.dataset.finished = 'yes';
  }

  /** @param {string} reason */
  #crashed(reason) {
    this.provider.stop();
    this.log.add(`the provider stopped: ${reason}`);
    this.#enter('crashed', reason);
    const wait = Math.min(RESTART_MOST, RESTART_SECONDS * 2 ** this.#crashes++);
    setTimeout(() => this.#stage === 'crashed' && void this.#run(), wait * 1000);
  }

  /** @param {import('../messages.js').Report} report */
  #heard(report) {
    if (report.type === 'log') this.log.add(report.line);
    else if (report.type === 'booted') this.#booted(report);
    else if (report.type === 'finished') this.#finished();
    else if (report.type === 'failed') this.#crashed(report.reason);
    else if (report.type === 'status') {
      this.#status = report.status;
      this.pace.count(report.status.done + report.status.failed);
      if (this.#stage !== 'blocked') this.#enter(report.status.link, report.status.reason);
    }
  }

  /** @param {{seconds: number, slow: string}} report */
  #booted({ seconds, slow }) {
    this.pace.restart();
    this.log.add(`Python is up after ${seconds.toFixed(1)} s`);
    if (slow) this.#tellSlow(slow);
    this.provider.send({ type: 'workers', count: this.chosen.workers }); // may have been changed meanwhile
  }

  /** @param {string} why */
  #tellSlow(why) {
    const text = `Python was started without its memory snapshot, which takes some seconds more each time: ${why}.`;
    this.log.add(text);
    this.view.notices([...this.missing, { kind: 'info', text }]);
  }

  /** @param {Stage} stage @param {string} [reason] */
  #enter(stage, reason = '') {
    if (stage === 'connected') this.#crashes = 0;
    if (stage === 'connected' && this.#stage !== 'connected' && this.#lost) void this.#renew();
    this.#lost = stage === 'waiting' || (this.#lost && stage === 'connecting');
    this.#stage = stage;
    this.#reason = reason;
    this.view.show(stage, this.#status, reason);
    this.wake.want(stage === 'connected' && input('awake').checked);
  }
}

/** Has Python start before the page is all there, where the address asks for that. */
function early() {
  const provider = new Provider();
  try {
    const chosen = settings(location.hash);
    const able = notices().every(({ kind }) => kind !== 'bad');
    if (chosen.autoconnect && able) provider.start(chosen, browserName()).catch(() => {}); // it is started again, and heard then
  } catch {
    // what is wrong with the address is told below
  }
  return provider;
}

/** Runs as soon as it is there, maybe before the page is. */
async function main() {
  const provider = early();
  if (document.readyState === 'loading') await new Promise((resolve) => document.addEventListener('DOMContentLoaded', resolve, { once: true }));
  try {
    new Lending(provider).begin();
  } catch (error) {
    html('detail').textContent = error instanceof Error ? error.message : String(error);
  }
}

void main();
