/** The same task from a terminal: as a `wasimoff` command and with curl. */
import { METHOD, requestOf } from './task.js';
import { quote } from './words.js';

/** @typedef {import('./task.js').Task} Task */

const CONTINUED = ' \\\n  ';
const HEADER_SAFE = /^[\x20-\x7e]*$/;

/** @param {Task} task */
export function wasimoffCommand(task) {
  const options = [`--broker ${quote(location.origin)}`];
  for (const env of task.envs) options.push(`--env ${quote(env)}`);
  if (task.rootfs) options.push(`--rootfs ${quote(task.rootfs)}`);
  for (const path of task.artifacts) options.push(`--artifact ${quote(path)}`);
  const program = [task.binary, ...task.args].map(quote).join(' ');
  return `${piped(task)}${['wasimoff run', ...options, program].join(CONTINUED)}`;
}

/** As the CGI-like route has it, or as JSON when a header could not say it. @param {Task} task */
export function curlCommand(task) {
  const words = task.args.map(quote).join(' ');
  const envs = task.envs.map((env) => /^([A-Z0-9_]+)=(.*)$/s.exec(env));
  const texts = [words, task.rootfs, ...task.envs, ...task.artifacts];
  if (envs.includes(null) || !texts.every((text) => HEADER_SAFE.test(text))) return curlJson(task);
  const parts = [`curl ${quote(`${location.origin}/api/client/run/${encodeURI(task.binary)}`)}`];
  if (words) parts.push(header('X-Args', words));
  for (const env of envs) parts.push(header(`X-Env-${env?.[1]}`, env?.[2] ?? ''));
  if (task.rootfs) parts.push(header('X-RootFS-Ref', task.rootfs));
  for (const path of task.artifacts) parts.push(header('X-Artifact', path));
  parts.push(task.stdin ? '--data-binary @-' : '-X POST');
  return `${piped(task)}${parts.join(CONTINUED)}`;
}

/** @param {Task} task */
function curlJson(task) {
  const body = quote(JSON.stringify(requestOf(task)));
  return [`curl ${quote(location.origin + METHOD)}`, header('Content-Type', 'application/json'), `--data-raw ${body}`].join(CONTINUED);
}

/** @param {string} name @param {string} value */
function header(name, value) {
  return `-H ${quote(`${name}: ${value}`)}`;
}

/** @param {Task} task */
function piped(task) {
  return task.stdin ? `printf %s ${quote(task.stdin)} | ` : '';
}
