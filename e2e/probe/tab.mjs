/** Runs scripts of e2e/probe on the tab's host under Node: a JSON list of scripts on stdin, a list of what each printed on stdout. */
import { readFileSync } from 'node:fs';
import { Host } from '../../static/js/wasi/host.js';
import { execute } from '../../static/js/wasi/run.js';
import { Input } from '../../static/js/wasi/streams.js';

const module = new WebAssembly.Module(readFileSync(new URL('probe.wasm', import.meta.url)));
const given = { module, args: ['probe'], envs: [], artifacts: [], root: null, limits: { output: 16 << 20, files: 64 << 20, memory: 2 ** 32 }, begin() {} };
const host = new Host();
const printed = JSON.parse(readFileSync(0, 'utf8')).map((script) => {
  const { end } = execute(host, { ...given, stdin: new Input(new TextEncoder().encode(script)) });
  return end.error ?? new TextDecoder().decode(end.stdout);
});
process.stdout.write(JSON.stringify(printed));
