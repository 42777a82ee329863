/**
 * The Python that travels to the tab, as one zip: our provider (without its native half) and pure-Python protobuf.
 *
 * The wheel is fetched once by pip, at the version and with a digest that requirements.lock names. Entries are stored,
 * not deflated: the archive as a whole is compressed for the transport, which packs better.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { unzipSync, zipSync } from 'fflate';

const EPOCH = new Date(1980, 0, 1);

/** Parts of protobuf that nothing here imports: they would only cost time to fetch and unpack. */
const UNUSED = [
  /^google\/protobuf\/(compiler|pyext|testdata|util)\//,
  /^google\/protobuf\/internal\/testing_refleaks\.py$/,
  /^google\/protobuf\/(api|source_context|type)_pb2\.py$/,
  /^google\/protobuf\/(proto_builder|proto_json|proto_text|service_reflection)\.py$/,
  /\.dist-info\//,
];

/**
 * The version of a package that requirements.lock pins, and the digests it accepts.
 * @param {string} name @param {string} root
 */
function pinned(name, root) {
  const lock = readFileSync(join(root, 'requirements.lock'), 'utf8');
  const entry = new RegExp(`^${name}==(\\S+)((?:.*\\\\\\n)?(?:\\s+--hash=sha256:[0-9a-f]{64}(?: \\\\)?\\n?)+)`, 'm').exec(lock);
  if (!entry) throw new Error(`requirements.lock has no ${name} with hashes`);
  return { version: entry[1], text: entry[0], digests: [...entry[2].matchAll(/sha256:([0-9a-f]{64})/g)].map((match) => match[1]) };
}

/**
 * What the interpreter of a task has beside the standard library: cloudpickle, and the module that runs the task.
 * @param {string} root of the project
 * @param {string} cache directory where the wheel is kept
 * @returns {Uint8Array}
 */
export function taskArchive(root, cache) {
  const files = unzipSync(wheel('cloudpickle', root, cache), { filter: ({ name }) => name.endsWith('.py') });
  for (const name of ['pyodide_provider/__init__.py', 'pyodide_provider/guest.py']) files[name] = readFileSync(join(root, name));
  return zipSync(files, { level: 0, mtime: EPOCH });
}

/** @param {string} root */
function python(root) {
  const own = process.platform === 'win32' ? join(root, '.venv', 'Scripts', 'python.exe') : join(root, '.venv', 'bin', 'python');
  return process.env.PYTHON || (existsSync(own) ? own : 'python3');
}

/**
 * The bytes of a pure-Python wheel, from the cache or by pip.
 * @param {string} name @param {string} root @param {string} cache
 */
function wheel(name, root, cache) {
  const { version, text, digests } = pinned(name, root);
  const path = join(cache, `${name}-${version}-py3-none-any.whl`);
  const good = () => existsSync(path) && digests.includes(createHash('sha256').update(readFileSync(path)).digest('hex'));
  if (!good()) {
    rmSync(path, { force: true });
    mkdirSync(cache, { recursive: true });
    const requirements = join(cache, `${name}.txt`);
    writeFileSync(requirements, text);
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--platform', 'any', '--python-version', '3.14'];
    execFileSync(python(root), [...pip, '--require-hashes', '--requirement', requirements, '--dest', cache], { stdio: ['ignore', 'inherit', 'inherit'] });
    if (!good()) throw new Error(`pip brought no ${name}-${version}-py3-none-any.whl with a digest of requirements.lock`);
  }
  return readFileSync(path);
}

/** Of our package, beside its native half: what only tasks need, and what starts it. */
const NOT_OURS = new Set(['pyodide_provider/__main__.py', 'pyodide_provider/guest.py']);

/**
 * @param {string} directory
 * @returns {Generator<string>} the .py files below it
 */
function* sources(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.py')) yield path;
  }
}

/**
 * @param {string} root of the project
 * @param {string} cache directory where the wheel is kept
 * @returns {Uint8Array} a zip to unpack into site-packages; the same bytes for the same contents
 */
export function pythonArchive(root, cache) {
  const files = unzipSync(wheel('protobuf', root, cache), { filter: ({ name }) => !name.endsWith('/') && !UNUSED.some((pattern) => pattern.test(name)) });
  const own = join(root, 'pyodide_provider');
  for (const path of sources(own)) {
    const name = relative(root, path).split(sep).join('/');
    if (!name.startsWith('pyodide_provider/native/') && !NOT_OURS.has(name)) files[name] = readFileSync(path);
  }
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
  return zipSync(sorted, { level: 0, mtime: EPOCH });
}
