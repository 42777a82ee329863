import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unzipSync } from 'fflate';
import { wasi } from '@bjorn3/browser_wasi_shim';
import { Budget } from '../../static/js/wasi/limits.js';
import { Descriptors } from '../../static/js/wasi/descriptors.js';
import { RunDirectory, RunFile } from '../../static/js/wasi/files.js';
import { OpenDirectory } from '../../static/js/wasi/open.js';
import { matcher } from '../../static/js/wasi/glob.js';
import { resolve } from '../../static/js/wasi/resolve.js';
import { collect } from '../../static/js/wasi/artifacts.js';

const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);
const tree = () => new Map([['a', bytes('shared')], ['dir', new Map([['b', bytes('deep')]])]]);
const volume = (limit = 1 << 20) => ({ budget: new Budget('files', limit), began: 1e18 });
const rootOf = (shared, limit) => new RunDirectory(shared, volume(limit), 1e18, null);
const BOTH = BigInt(wasi.RIGHTS_FD_READ | wasi.RIGHTS_FD_WRITE);
const find = (root, path) => resolve(root, path, { last: true, slash: true });
const thrown = (code) => (error) => error.code === code;

function open(root, path, oflags = 0) {
  const { dir, name, entry } = find(root, path);
  const file = entry ?? (oflags & wasi.OFLAGS_CREAT ? dir.makeFile(name) : assert.fail(`${path} is missing`));
  return file.path_open(oflags, BOTH, 0).fd_obj;
}

const whole = (file) => text(file.readAt(1000, 0n));

test('no run sees what another wrote, and the rootfs stays as it was', () => {
  const shared = tree();
  const [one, two] = [rootOf(shared), rootOf(shared)];
  open(one, 'a').write(bytes('MINE'));
  open(one, 'dir/b').writeAt(bytes('longer than it was'), 2n);
  open(one, 'dir/new', wasi.OFLAGS_CREAT).write(bytes('x'));
  const place = find(one, 'dir/b');
  place.dir.remove(place.name, place.entry);
  assert.equal(whole(open(two, 'a')), 'shared');
  assert.equal(whole(open(two, 'dir/b')), 'deep');
  assert.equal(find(two, 'dir/new').entry, undefined);
  assert.equal(text(shared.get('a')), 'shared');
});

test('truncating a shared file leaves the shared bytes alone', () => {
  const shared = tree();
  const root = rootOf(shared);
  open(root, 'a', wasi.OFLAGS_TRUNC).write(bytes('z'));
  assert.equal(whole(open(root, 'a')), 'z');
  assert.equal(text(shared.get('a')), 'shared');
});

test('a file grows without being copied at each write', () => {
  const file = new RunFile(new Uint8Array(0), volume(1 << 30), 0);
  const chunk = new Uint8Array(64);
  const buffers = new Set();
  for (let at = 0; at < 32 << 20; at += chunk.length) {
    file.write(chunk, at);
    buffers.add(file.buffer);
  }
  assert.equal(file.data.length, 32 << 20);
  assert.ok(buffers.size < 30, `${buffers.size} buffers for half a million writes`);
});

test('what a run writes is limited, what it takes back may be written again', () => {
  const file = open(rootOf(tree(), 2000), 'f', wasi.OFLAGS_CREAT);
  file.write(new Uint8Array(1700));
  assert.throws(() => file.write(new Uint8Array(100)), /files limit exceeded: more than 2000 bytes/);
  const other = open(rootOf(tree(), 2000), 'f', wasi.OFLAGS_CREAT);
  for (let round = 0; round < 10; round++) {
    other.writeAt(new Uint8Array(1700), 0n);
    other.resize(0n);
  }
});

test('a file that is removed gives back what it took, once nobody has it open', () => {
  const root = rootOf(null, 2000);
  for (let round = 0; round < 10; round++) {
    const file = open(root, 'f', wasi.OFLAGS_CREAT);
    file.write(new Uint8Array(1700));
    root.remove('f', file.file);
    assert.equal(file.file.length, 1700);
    file.fd_close();
    assert.equal(root.volume.budget.used, 0);
  }
});

test('a write far behind the end is stopped by the limit before memory is taken', () => {
  const file = open(rootOf(null), 'f', wasi.OFLAGS_CREAT);
  for (const offset of [1n << 31n, 1n << 40n, (1n << 63n) - 1n]) assert.throws(() => file.writeAt(bytes('x'), offset), /files limit/);
  assert.throws(() => file.resize(1n << 40n), /files limit/);
  assert.throws(() => file.resize(-1n), thrown(wasi.ERRNO_INVAL));
  assert.throws(() => file.writeAt(bytes('x'), 1n << 63n), thrown(wasi.ERRNO_INVAL));
});

test('empty files and directories count too', () => {
  const root = rootOf(null, 10_000);
  assert.throws(() => {
    for (let i = 0; i < 100; i++) open(root, `f${i}`, wasi.OFLAGS_CREAT);
  }, /files limit/);
});

test('shrinking and growing shows zeros, not what was there', () => {
  const file = open(rootOf(null), 'f', wasi.OFLAGS_CREAT);
  file.write(bytes('secret'));
  file.resize(2n);
  file.resize(6n);
  assert.equal(whole(file), 'se\0\0\0\0');
});

test('a directory of many entries is read out of one listing, also while its files are removed', () => {
  const root = rootOf(new Map(Array.from({ length: 20_000 }, (_, i) => [`f${i}`, new Uint8Array(0)])));
  const directory = new OpenDirectory(root);
  const names = [];
  for (let cookie = 0n; ; cookie++) {
    const { dirent } = directory.fd_readdir_single(cookie);
    if (!dirent) break;
    const name = text(dirent.dir_name);
    names.push(name);
    if (cookie > 1n) root.remove(name, root.contents.get(name));
  }
  assert.deepEqual(names.slice(0, 3), ['.', '..', 'f0']);
  assert.equal(names.length, 20_002);
  assert.equal(root.contents.size, 0);
});

test('links: forty are followed, none leads above the directory where the path began', () => {
  const root = rootOf(tree());
  root.makeLink('l0', 'a');
  for (let i = 1; i <= 40; i++) root.makeLink(`l${i}`, `l${i - 1}`);
  assert.equal(find(root, 'l39').entry, find(root, 'a').entry);
  assert.throws(() => find(root, 'l40'), thrown(wasi.ERRNO_LOOP));
  const dir = find(root, 'dir').entry;
  dir.makeLink('up', '../a');
  assert.equal(find(root, 'dir/up').entry, find(root, 'a').entry);
  for (const path of ['up', '../a', '/a', 'b/../../a']) assert.throws(() => find(dir, path), (error) => [wasi.ERRNO_PERM, wasi.ERRNO_NOTDIR].includes(error.code), path);
});

test('numbers of descriptors: the highest that is free, else the next one; there is an end to them', () => {
  const root = rootOf(null);
  const made = () => new OpenDirectory(root);
  const fds = new Descriptors([made(), made(), made()]);
  assert.deepEqual([fds.add(made()), fds.add(made())], [3, 4]);
  fds.close(1);
  fds.close(3);
  assert.deepEqual([fds.add(made()), fds.add(made()), fds.add(made())], [3, 1, 5]);
  assert.throws(() => {
    for (let i = 0; i < 70_000; i++) fds.add(made());
  }, thrown(wasi.ERRNO_NFILE));
});

test('artifacts: a file by its name, of a directory what the run wrote, and what is missing', () => {
  const root = rootOf(tree());
  open(root, 'out.txt', wasi.OFLAGS_CREAT).write(bytes('made'));
  open(root, 'dir/c', wasi.OFLAGS_CREAT).write(bytes('made, too'));
  const names = (paths) => {
    const { zip, missing } = collect(root, paths, 1000);
    return [Object.keys(unzipSync(zip)), missing];
  };
  assert.deepEqual(names(['/out.txt', 'a', 'dir', 'nowhere', '../a']), [['out.txt', 'a', 'dir/', 'dir/c'], ['nowhere', '../a']]);
  assert.deepEqual(names(['/']), [['dir/c', 'out.txt'], []]);
  assert.deepEqual(names(['*.txt', '**/c', 'b*', 'd?r/[!b]']), [['out.txt', 'dir/c'], ['b*']]);
  open(root, 'dir/b').write(bytes('x'));
  root.take('moved', root, 'dir');
  root.makeLink('link', 'a');
  assert.deepEqual(names(['moved', 'link']), [['moved/', 'moved/b', 'moved/c'], ['link']]);
});

test('artifacts: what is moved is new where it is now, also when nobody looked into it', () => {
  const root = rootOf(tree());
  root.take('other', root, 'dir');
  assert.deepEqual(Object.keys(unzipSync(collect(root, ['/'], 1000).zip)), ['other/', 'other/b']);
});

test('patterns are matched as shells do, in steps as many as pattern times name', () => {
  const matches = (pattern, path) => matcher(pattern.split('/'))(path.split('/'));
  for (const [pattern, path] of [['*', 'a'], ['*', 'a/b'], ['a*c', 'abbc'], ['[a-c]x', 'bx'], ['[]]', ']'], ['[!]]', 'a'], ['**', 'a/b'], ['**/b', 'b'], ['a/**/b', 'a/x/y/b'], ['[', '[']]) {
    assert.ok(matches(pattern, path), `${pattern} ${path}`);
  }
  for (const [pattern, path] of [['*', ''], ['a', 'b'], ['a/*', 'a'], ['?', 'ab'], ['[!a]', 'a'], ['[z-a]', 'b'], ['**/b', 'a'], ['a*c', 'abcd']]) {
    assert.ok(!matches(pattern, path) || path === '', `${pattern} ${path}`);
  }
  assert.ok(!matches('*a'.repeat(100) + 'b', 'a'.repeat(250)));
});

test('artifacts beyond the limit, nested without end, or of many patterns, are refused', () => {
  const root = rootOf(null);
  let at = root;
  for (let i = 0; i < 300; i++) at = at.makeDirectory('d');
  assert.throws(() => collect(root, ['/'], 1000), /artifacts: more than 256 directories/);
  assert.throws(() => collect(rootOf(tree()), ['a', 'dir/b'], 8), /artifacts: files limit exceeded: more than 8 bytes/);
  assert.throws(() => collect(rootOf(tree()), Array(101).fill('*'), 8), /artifacts: more than 100 patterns/);
});

test('statistics have their times where preview 1 wants them', () => {
  const stat = open(rootOf(tree()), 'a').file.stat();
  stat.mtim = 0x1122334455667788n;
  const view = new DataView(new ArrayBuffer(64));
  stat.write_bytes(view, 0);
  assert.equal(view.getBigUint64(32, true), 6n);
  assert.equal(view.getBigUint64(48, true), 0x1122334455667788n);
});
