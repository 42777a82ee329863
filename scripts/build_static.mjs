/**
 * Fills static/vendor/ (ignored by git): Pyodide, the provider's Python as one archive and as a memory snapshot, what Python
 * tasks run in, the WASI worker as one file.
 *
 * Every group lives in a directory named after the hash of what it is made of, so that its files may be cached for ever;
 * manifest.json says which directories are current, native.json what native providers fetch. Big files get .br and .gz siblings. Nothing changed: nothing done.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import { build } from 'esbuild';
import { lockOf, providerWheels, taskArchive } from './python_archive.mjs';
import { slimLoader, slimProgram } from './slim_pyodide.mjs';
import { snapshot } from './snapshot.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const VENDOR = join(ROOT, 'static', 'vendor');
// Tabs that are still open go on loading from the directories they started with.
const KEEP_OLD_DAYS = 7;
const KEEP_OLD_BUILDS = 12;

// What a task's interpreter has imported: what runs it, and what tasks and their packages import most, which takes 10 to 100 ms each.
const IMPORTED = `
import pyodide_provider.guest, pyodide.code
import calendar, csv, datetime, decimal, fractions, gzip, hashlib, html, importlib.metadata, ipaddress, numbers, queue, statistics, timeit
import urllib.parse, zoneinfo
`;

/** @typedef {Map<string, Uint8Array>} Files  contents by name */

const COMPRESSED = /\.(mjs|js|wasm|json|zip|css|bin)$/;

/** @param {string} name of an installed package */
function version(name) {
  return JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;
}

/** @param {Files} files */
function digest(files) {
  const hash = createHash('sha256');
  for (const [name, content] of files) hash.update(`${name}\0${content.length}\0`).update(content);
  return hash.digest('hex').slice(0, 16);
}

/** @param {Uint8Array} content */
function brotli(content) {
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = zlib.constants;
  return zlib.brotliCompressSync(content, { params: { [BROTLI_PARAM_QUALITY]: 9, [BROTLI_PARAM_LGWIN]: 24, [BROTLI_PARAM_SIZE_HINT]: content.length } });
}

/**
 * 6 % smaller than brotli and unpacked in half the time; null where Node is older than 22.15.
 * @param {Uint8Array} content
 */
function zstd(content) {
  const { zstdCompressSync, constants } = /** @type {any} */ (zlib);
  // Browsers unpack with a window of 8 MiB at most (RFC 9659).
  return zstdCompressSync ? zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: 23 } }) : null;
}

/**
 * Writes a group into its own directory unless it is there, and gives its path below vendor/.
 * @param {string} group @param {Files} inputs that it is made of
 * @param {() => Promise<Files>} [make] out of them; without it they are what is published
 */
async function publish(group, inputs, make) {
  const name = `${group}-${digest(inputs)}`;
  const target = join(VENDOR, name);
  if (existsSync(target)) {
    const now = new Date();
    utimesSync(target, now, now);
    return `${name}/`;
  }
  const files = make ? await make() : inputs;
  const staging = join(VENDOR, `.staging-${process.pid}-${name}`);
  mkdirSync(staging, { recursive: true });
  for (const [file, content] of files) {
    writeFileSync(join(staging, file), content);
    if (COMPRESSED.test(file) && content.length > 1024) {
      const forms = { br: brotli(content), gz: zlib.gzipSync(content, { level: 9 }), zst: zstd(content) };
      for (const [ending, packed] of Object.entries(forms)) if (packed) writeFileSync(join(staging, `${file}.${ending}`), packed);
    }
  }
  try {
    renameSync(staging, target);
  } catch (error) {
    if (!existsSync(target)) throw error; // another build was quicker: the name says that it is the same
    rmSync(staging, { recursive: true });
  }
  console.log(`static/vendor/${name}`);
  return `${name}/`;
}

/**
 * Pyodide, its JavaScript slimmed, with an empty package list: what a task may load is not the page's business, and the full list (packages.json,
 * which the broker reads) is 119 KB.
 * @returns {Files}
 */
function pyodide() {
  const from = join(ROOT, 'node_modules', 'pyodide');
  /** @type {Files} */
  const files = new Map(['pyodide.asm.wasm', 'python_stdlib.zip'].map((name) => [name, readFileSync(join(from, name))]));
  const loader = readFileSync(join(from, 'pyodide.mjs'), 'utf8');
  const ours = ['static/js/python/restore.js', 'static/js/python/task.js', 'scripts/snapshot.mjs'].map((path) => readFileSync(join(ROOT, path), 'utf8'));
  files.set('pyodide.mjs', Buffer.from(slimLoader(loader)));
  files.set('pyodide.asm.mjs', Buffer.from(slimProgram(readFileSync(join(from, 'pyodide.asm.mjs'), 'utf8'), [loader, ...ours])));
  const list = readFileSync(join(from, 'pyodide-lock.json'));
  const lock = JSON.parse(list.toString());
  files.set('packages.json', list);
  files.set('pyodide-lock.json', Buffer.from(JSON.stringify({ info: lock.info, packages: {} })));
  return files;
}

/**
 * One classic script instead of a tree of modules: a page runs it, and any tab can start it as a worker, 15 ms faster than modules.
 * @param {string} script below static/js
 * @param {{define?: Record<string, string>, alias?: Record<string, string>}} [more] of esbuild's options
 * @returns {Promise<Uint8Array>}
 */
async function bundle(script, more = {}) {
  const result = await build({
    entryPoints: [join(ROOT, 'static', 'js', script)],
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    legalComments: 'none',
    external: ['node:*'],
    ...more,
    write: false,
    logLevel: 'error',
  });
  // V8 does not see that an arrow function is called at once, and would parse all of it twice.
  return Buffer.from(result.outputFiles[0].text.replace(/^("use strict";)?\(\(\)=>\{/, '$1(function(){'));
}

/** Scripts and styles of the pages, under an address that never changes what it gives. @returns {Promise<Files>} */
async function page() {
  const styles = readdirSync(join(ROOT, 'static', 'css')).sort();
  const scripts = ['lend.js', 'run.js'];
  const bundles = scripts.map((name) => bundle(`page/${name}`));
  /** @type {Files} */
  const files = new Map(styles.map((name) => [name, readFileSync(join(ROOT, 'static', 'css', name))]));
  for (const [index, content] of (await Promise.all(bundles)).entries()) files.set(scripts[index], content);
  return files;
}

/** The shim as it is, under a name that does not change: for wasi-apps/web_demo. */
function shim() {
  const from = join(ROOT, 'node_modules', '@bjorn3', 'browser_wasi_shim', 'dist');
  const to = join(VENDOR, 'browser_wasi_shim');
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).filter((it) => it.endsWith('.js'))) {
    const content = readFileSync(join(from, name));
    const target = join(to, name);
    if (!existsSync(target) || !content.equals(readFileSync(target))) writeFileSync(target, content);
  }
}

/** @param {string[]} current directory names that stay */
function sweep(current) {
  const oldest = Date.now() - KEEP_OLD_DAYS * 24 * 3600 * 1000;
  const old = readdirSync(VENDOR)
    .filter((name) => /-[0-9a-f]{16}$/.test(name) && !current.includes(`${name}/`))
    .map((name) => ({ name, path: join(VENDOR, name), time: statSync(join(VENDOR, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const [index, { name, path, time }] of old.entries()) {
    const abandoned = name.startsWith('.staging') && time < Date.now() - 3600 * 1000;
    if (abandoned || time < oldest || index >= KEEP_OLD_BUILDS) rmSync(path, { recursive: true, force: true });
  }
}

/** Our wheels, and the lock file by which Pyodide loads them. @param {Files} wheels */
function python(wheels) {
  const { info } = JSON.parse(readFileSync(join(ROOT, 'node_modules', 'pyodide', 'pyodide-lock.json'), 'utf8'));
  const inputs = new Map([...wheels, ['info', Buffer.from(JSON.stringify(info))], ['maker', readFileSync(join(ROOT, 'scripts', 'wheels_lock.py'))]]);
  return publish('python', inputs, async () => new Map([...wheels, ['pyodide-lock.json', lockOf(ROOT, wheels, info)]]));
}

/**
 * A snapshot differs each time it is made: it goes by its inputs.
 * @param {string} group @param {string} interpreter directory of Pyodide @param {Files} archives @param {string} script
 * @param {Files} [more] files beside it
 */
function memory(group, interpreter, archives, script, more = new Map()) {
  const maker = readFileSync(join(ROOT, 'scripts', 'snapshot.mjs'));
  const inputs = new Map([...more, ['interpreter', Buffer.from(interpreter)], ...archives, ['script', Buffer.from(script)], ['maker', maker]]);
  return publish(group, inputs, async () => new Map([...more, ['snapshot.bin', await snapshot(join(VENDOR, interpreter), archives.values(), script)]]));
}

/**
 * What native providers fetch, which check it: the path below vendor/ and the digest of each file.
 * @param {Record<string, string>} paths
 */
function digests(paths) {
  const ref = (/** @type {string} */ path) => `sha256:${createHash('sha256').update(readFileSync(join(VENDOR, path))).digest('hex')}`;
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, [path, ref(path)]]));
}

const PROVIDER = 'import pyodide_provider.browser.main, pyodide_provider.browser.restored as restored; restored.answer_at_once(); del restored';

async function main() {
  mkdirSync(VENDOR, { recursive: true });
  const cache = join(VENDOR, '.wheels');
  const wheels = providerWheels(ROOT, cache);
  const interpreter = await publish(`pyodide-${version('pyodide')}`, pyodide());
  const published = join(VENDOR, interpreter);
  const alias = { 'pyodide/pyodide.asm.mjs': join(published, 'pyodide.asm.mjs'), pyodide: join(published, 'pyodide.mjs') };
  // What Emscripten asks for its own address.
  const define = { 'import.meta.url': '"http://localhost/"' };
  const task = await bundle('python/worker.js', { alias, define });
  const native = await bundle('python/native.js', { alias, define });
  const manifest = {
    pyodide: interpreter,
    python: await python(wheels),
    provider: await memory('provider', interpreter, wheels, PROVIDER, new Map([['worker.js', await bundle('provider/worker.js', { alias })]])),
    // The same script under two names: the broker gives them different content security policies.
    tasks: await memory('tasks', interpreter, new Map([['archive', taskArchive(ROOT, cache)]]), IMPORTED, new Map([['worker.js', task], ['open.js', task], ['native.js', native]])),
    page: await publish('page', await page()),
    wasi: await publish('wasi', new Map([['worker.js', await bundle('wasi/worker.js', { define: { SHIM_VERSION: JSON.stringify(version('@bjorn3/browser_wasi_shim')) } })]])),
  };
  const { pyodide: engine, tasks } = manifest;
  const pieces = { script: `${tasks}native.js`, module: `${engine}pyodide.asm.wasm`, snapshot: `${tasks}snapshot.bin`, stdlib: `${engine}python_stdlib.zip`, lock: `${engine}pyodide-lock.json` };
  shim();
  sweep(Object.values(manifest));
  current('native.json', digests(pieces));
  current('manifest.json', manifest);
}

/** @param {string} name @param {unknown} document */
function current(name, document) {
  const path = join(VENDOR, name);
  const text = `${JSON.stringify(document, null, 2)}\n`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  console.log(relative(ROOT, path));
}

try {
  await main();
} catch (error) {
  console.error(`build_static: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
