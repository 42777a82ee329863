/** Shows the provider's state: words, numbers, lanes. Decides nothing. */
import { button, element, html, say } from './elements.js';
import { countText, rateText } from './pace.js';
import { CORES } from './settings.js';

/** @typedef {import('../messages.js').Status} Status */

/**
 * Where this tab stands: the provider's link, or what the page is at before and beside it.
 * @typedef {import('../messages.js').Link | 'starting' | 'blocked' | 'impossible' | 'crashed'} Stage
 */

const HEADLINES = /** @type {Record<Stage, string>} */ ({
  impossible: 'This browser can’t lend',
  idle: 'Lend this computer',
  starting: 'Starting …',
  connecting: 'Connecting …',
  connected: 'Lending',
  waiting: 'Not connected',
  draining: 'Finishing …',
  blocked: 'Another tab is lending',
  crashed: 'Something went wrong',
});
const LENDING = new Set(['starting', 'connecting', 'connected', 'waiting', 'crashed']);
const LANES = 64;
const SHORT = 400; // ms; tasks that end sooner are not listed, only counted
const CALM = 3000; // ms without a task after which we say so; words that flicker help nobody

export class View {
  /** @type {Map<string, number>} task → when it was first seen */
  #since = new Map();
  #counted = 0;
  #busyUntil = 0;

  /** @param {Stage} stage @param {Status | null} status @param {string} reason */
  show(stage, status, reason) {
    const root = document.documentElement.dataset;
    root.link = stage;
    if (status) {
      root.workers = String(status.workers);
      root.readyWorkers = String(status.ready);
      root.done = String(status.done);
      root.failed = String(status.failed);
      root.running = String(status.running.length);
      root.peers = String(status.peers);
    }
    say(html('headline'), HEADLINES[stage]);
    say(html('detail'), detail(stage, status, reason, this.#busy(status)));
    const lending = LENDING.has(stage);
    button('connect').hidden = lending || stage === 'draining' || stage === 'blocked';
    button('connect').disabled = stage === 'impossible';
    button('disconnect').hidden = !lending && stage !== 'blocked';
    button('take-over').hidden = stage !== 'blocked';
    if (status) this.#numbers(stage, status);
  }

  /** Whether tasks ran just now. @param {Status | null} status */
  #busy(status) {
    const now = performance.now();
    const counted = status ? status.done + status.failed : 0;
    if (status?.running.length || counted > this.#counted) this.#busyUntil = now + CALM;
    this.#counted = counted;
    return now < this.#busyUntil;
  }

  /** @param {number} count */
  workers(count) {
    say(html('workers'), String(count));
    say(html('cores'), `of ${CORES} core${CORES === 1 ? '' : 's'}`);
    button('fewer').disabled = count <= 0;
  }

  /** @param {Stage} stage @param {Status} status */
  #numbers(stage, status) {
    say(html('done'), countText(status.done));
    say(html('failed'), countText(status.failed));
    const up = stage === 'connected';
    say(html('peers'), up ? String(status.peers) : '–');
    say(html('throughput'), up ? rateText(status.throughput) : '–');
    this.#lanes(status);
    this.#running(status);
  }

  /** @param {Status} status */
  #lanes(status) {
    const lanes = html('lanes');
    const count = Math.min(status.workers, LANES);
    while (lanes.childElementCount > count) lanes.lastElementChild?.remove();
    while (lanes.childElementCount < count) lanes.append(document.createElement('i'));
    [...lanes.children].forEach((lane, i) => (lane.className = i < status.running.length ? 'busy' : i < status.ready ? 'ready' : ''));
  }

  /** @param {Status} status */
  #running(status) {
    const now = performance.now();
    const before = this.#since;
    this.#since = new Map(status.running.map((task) => [task, before.get(task) ?? now]));
    const long = [...this.#since].filter(([, since]) => now - since >= SHORT).slice(0, 8);
    const items = long.map(([task, since]) => {
      const item = document.createElement('li');
      const name = document.createElement('code');
      name.textContent = task.length > 40 ? `${task.slice(0, 40)}…` : task;
      item.append(name, ` ${seconds((now - since) / 1000)}`);
      return item;
    });
    html('running').replaceChildren(...items);
    say(html('now'), nowText(status));
  }

  /** @param {import('./pace.js').Pace} pace */
  chart(pace) {
    const line = pace.points(240, 64);
    const chart = element('chart', SVGSVGElement);
    chart.querySelector('polyline')?.setAttribute('points', line);
    chart.querySelector('polygon')?.setAttribute('points', `0,64 ${line} 240,64`);
    say(html('pace'), rateText(pace.rate));
    say(html('chart-scale'), pace.peak > 0 ? `Peak: ${rateText(pace.peak)} tasks a second.` : 'No tasks in this time.');
  }

  /** @param {import('./checks.js').Notice[]} notices */
  notices(notices) {
    html('notices').replaceChildren(
      ...notices.map(({ kind, text }) => {
        const notice = document.createElement('p');
        notice.className = `notice ${kind}`;
        notice.textContent = text;
        return notice;
      }),
    );
  }
}

/** @param {Status} status */
function nowText({ running, queued, workers, ready }) {
  const waiting = queued ? `, ${queued} waiting` : '';
  if (running.length) return `${running.length} task${running.length === 1 ? '' : 's'}${waiting}.`;
  if (!workers) return 'Set to run nothing: press + to lend again.';
  return ready < workers ? `${ready} of ${workers} workers are up.` : 'Nothing at the moment.';
}

/** @param {number} value */
function seconds(value) {
  return value < 60 ? `${value.toFixed(0)} s` : `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
}

/** @param {Stage} stage @param {Status | null} status @param {string} reason @param {boolean} busy */
function detail(stage, status, reason, busy) {
  switch (stage) {
    case 'impossible':
      return 'Something it needs is missing; see below.';
    case 'idle':
      return 'One click, and programs of others run here, in a sandbox, until you close the tab.';
    case 'starting':
      return 'Loading Python into this tab. The first time this takes some seconds.';
    case 'connecting':
      return 'Looking for the broker.';
    case 'connected':
      return connected(status, busy);
    case 'waiting':
      return `${sentence(reason || 'the broker is away')} Trying again by itself.`;
    case 'draining':
      return 'Takes no new tasks, ends when the last one is done.';
    case 'blocked':
      return reason || 'One tab is enough for all cores. This one takes over when the other is closed.';
    case 'crashed':
      return `${sentence(reason)} Starting again by itself.`;
  }
}

/** @param {Status | null} status @param {boolean} busy */
function connected(status, busy) {
  if (!status?.workers) return 'Connected, but set to run nothing.';
  if (status.ready < status.workers) return 'Connected. Workers are starting.';
  return busy ? 'Computing. Thank you!' : 'Connected, waiting for tasks.';
}

/** @param {string} text */
function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
