/** Shows how a task ended. What a program writes is bounded on the page; all of it can be saved. */
import { element, html, say } from './elements.js';
import { sizeText } from './bytes.js';

/** @typedef {import('./task.js').Result} Result */

const SHOWN_BYTES = 128 * 1024;

/** @type {string[]} */
let urls = [];

/** @param {Result} result */
export function showResult(result) {
  clear();
  html('result').hidden = false;
  const badge = html('exit');
  say(badge, result.error ? 'failed' : `exit ${result.status}`);
  badge.className = `badge ${result.error || result.status ? 'bad' : 'good'}`;
  const where = result.provider ? `computed by ${result.provider}, ` : '';
  say(html('who'), `${where}${result.seconds < 1 ? `${Math.round(result.seconds * 1000)} ms` : `${result.seconds.toFixed(1)} s`} in all`);
  say(html('result-error'), result.error);
  stream('stdout', result.stdout, !result.error);
  stream('stderr', result.stderr, result.stderr.length > 0);
  const artifacts = result.artifacts.length > 0;
  html('artifacts-box').hidden = !artifacts;
  if (artifacts) {
    save('artifacts-save', result.artifacts, 'application/zip');
    say(html('artifacts-save'), `Save the artifacts (zip, ${sizeText(result.artifacts.length)})`);
  }
  html('result').scrollIntoView({ block: 'nearest', behavior: 'smooth' });
}

export function clear() {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  html('result').hidden = true;
}

/** @param {string} name @param {Uint8Array<ArrayBuffer>} bytes @param {boolean} shown */
function stream(name, bytes, shown) {
  html(`${name}-box`).hidden = !shown;
  say(html(`${name}-size`), sizeText(bytes.length));
  html(`${name}-save`).hidden = !bytes.length;
  if (bytes.length) save(`${name}-save`, bytes, 'application/octet-stream');
  const text = new TextDecoder().decode(bytes.subarray(0, SHOWN_BYTES));
  const rest = bytes.length - SHOWN_BYTES;
  say(html(name), rest > 0 ? `${text}\n… and ${sizeText(rest)} more: save it to see all.` : text);
  html(name).classList.toggle('empty', !bytes.length);
}

/** @param {string} id @param {Uint8Array<ArrayBuffer>} bytes @param {string} type */
function save(id, bytes, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  urls.push(url);
  element(id, HTMLAnchorElement).href = url;
}
