/**
 * The Python that travels to the tab, as wheels: our provider (without its native half) and pure-Python protobuf.
 *
 * Foreign wheels are fetched once by pip, at the version and with a digest that requirements.lock names.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { unzipSync, zipSync } from 'fflate';

const EPOCH = new Date(1980, 0, 1);

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

/** @param {string} root */
function providerWheel(root) {
  const project = readFileSync(join(root, 'pyproject.toml'), 'utf8');
  const version = /^version = "([^"]+)"$/m.exec(project)?.[1];
  const about = `pyodide_provider-${version}.dist-info`;
  /** @type {Record<string, Uint8Array>} */
  const files = {};
  for (const path of sources(join(root, 'pyodide_provider'))) {
    const name = relative(root, path).split(sep).join('/');
    if (!name.startsWith('pyodide_provider/native/') && !NOT_OURS.has(name)) files[name] = readFileSync(path);
  }
  const text = {
    METADATA: `Metadata-Version: 2.1\nName: pyodide-provider\nVersion: ${version}\nRequires-Dist: protobuf\n`,
    WHEEL: 'Wheel-Version: 1.0\nGenerator: wasimoff\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    RECORD: '',
  };
  for (const [name, content] of Object.entries(text)) files[`${about}/${name}`] = Buffer.from(content);
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { name: `pyodide_provider-${version}-py3-none-any.whl`, bytes: zipSync(sorted, { level: 9, mtime: EPOCH }) };
}

/**
 * @param {string} root of the project
 * @param {string} cache directory where foreign wheels are kept
 * @returns {Map<string, Uint8Array>} wheels by their file names; the same bytes for the same sources
 */
export function providerWheels(root, cache) {
  const own = providerWheel(root);
  return new Map([
    [own.name, own.bytes],
    [`protobuf-${pinned('protobuf', root).version}-py3-none-any.whl`, wheel('protobuf', root, cache)],
  ]);
}

/**
 * The lock file by which Pyodide loads these wheels.
 * @param {string} root @param {Map<string, Uint8Array>} wheels @param {object} info of Pyodide's own lock file
 * @returns {Uint8Array}
 */
export function lockOf(root, wheels, info) {
  const folder = mkdtempSync(join(tmpdir(), 'wasimoff-wheels-'));
  try {
    for (const [name, bytes] of wheels) writeFileSync(join(folder, name), bytes);
    execFileSync(python(root), [join(root, 'scripts', 'wheels_lock.py'), folder], { input: JSON.stringify(info), stdio: ['pipe', 'inherit', 'inherit'] });
    return readFileSync(join(folder, 'pyodide-lock.json'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
