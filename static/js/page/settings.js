/** What this tab is set to: the URL's fragment first, then what was chosen here before, then what fits the machine. */

/**
 * @typedef {object} Chosen
 * @property {boolean} autoconnect
 * @property {number} workers
 * @property {string} transport  the broker's WebSocket, absolute
 * @property {string} storage  where its blobs are, absolute
 * @property {boolean} verbose
 * @property {boolean} snapshot  whether Python starts from its memory snapshot
 */

const SOCKET_PATH = '/api/provider/ws';
const MAX_WORKERS = 512;
export const CORES = navigator.hardwareConcurrency || 2;

/** @param {string} name */
export function remembered(name) {
  try {
    return localStorage.getItem(`wasimoff.${name}`);
  } catch {
    return null; // storage is switched off
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(`wasimoff.${name}`, value);
  } catch {
    // storage is switched off
  }
}

/**
 * @param {string} fragment with or without "#"
 * @returns {Chosen}
 * @throws {Error} in words, when the transport is not a URL
 */
export function settings(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ''));
  return {
    autoconnect: yes(given.get('autoconnect')),
    workers: workers(given.get('workers') ?? remembered('workers')),
    verbose: yes(given.get('verbose')),
    snapshot: yes(given.get('snapshot') ?? 'yes'),
    ...broker(given.get('transport'), given.get('name') || displayName()),
  };
}

/** @param {string | null} text */
function yes(text) {
  return text !== null && ['', '1', 'yes', 'true', 'on'].includes(text.toLowerCase());
}

/** All cores but one, unless something else was chosen. @param {string | null} text */
function workers(text) {
  if (text === 'max') return CORES;
  const count = text ? Number(text) : NaN;
  return Number.isInteger(count) && count >= 0 ? Math.min(count, MAX_WORKERS) : Math.max(1, CORES - 1);
}

/**
 * @param {string | null} given  the URL of a broker or of its WebSocket; else the page's own
 * @param {string} name  what others see of us
 */
function broker(given, name) {
  const url = parse(given || location.origin);
  url.hash = '';
  url.protocol = { 'http:': 'ws:', 'https:': 'wss:' }[url.protocol] ?? url.protocol;
  if (!/^wss?:$/.test(url.protocol)) throw new Error(`the transport has to be a ws, wss, http or https URL, not ${given}`);
  const path = url.pathname.replace(/\/+$/, '');
  const base = path.endsWith(SOCKET_PATH) ? path.slice(0, -SOCKET_PATH.length) : path;
  url.pathname = base + SOCKET_PATH;
  if (!url.searchParams.has('id')) url.searchParams.set('id', name);
  const storage = new URL(url);
  storage.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  return { transport: url.href, storage: `${storage.origin}${base}/api/storage` };
}

/** @param {string} text */
function parse(text) {
  try {
    return new URL(text, location.href);
  } catch {
    throw new Error(`the transport in this address is not a URL: ${text}`);
  }
}

/** Which browser this is, for people: "Chromium 156". */
export function browserName() {
  const agent = navigator.userAgent;
  for (const [pattern, name] of /** @type {[RegExp, string][]} */ ([
    [/Firefox\/(\d+)/, 'Firefox'],
    [/Edg\/(\d+)/, 'Edge'],
    [/(?:Headless)?Chrome\/(\d+)/, 'Chromium'],
    [/Version\/(\d+).*Safari/, 'Safari'],
  ])) {
    const match = pattern.exec(agent);
    if (match) return `${name} ${match[1]}`;
  }
  return 'a browser';
}

/** A name that tells this browser's tasks from others': made once, then kept. */
function displayName() {
  const kept = remembered('name');
  if (kept) return kept;
  const random = crypto.getRandomValues(new Uint16Array(1))[0].toString(16).padStart(4, '0');
  const name = `${browserName().split(' ')[0].toLowerCase()}-${random}`;
  remember('name', name);
  return name;
}
