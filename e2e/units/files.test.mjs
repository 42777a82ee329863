import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unzipSync } from 'fflate';
import { wasi } from '@bjorn3/browser_wasi_shim';
import { Budget } from '../../static/js/wasi/faults.js';
import { Root, RunFile } from '../../static/js/wasi/files.js';
import { collect } from '../../static/js/wasi/artifacts.js';

const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);
const tree = () => new Map([['a', bytes('shared')], ['dir', new Map([['b', bytes('deep')]])]]);
const budget = (limit = 1 << 20) => new Budget('files', limit);

function open(root, path, oflags = 0) {
  const { ret, fd_obj } = root.path_open(0, path, oflags, 0n, 0n, 0);
  assert.equal(ret, wasi.ERRNO_SUCCESS, path);
  return fd_obj;
}

test('no run sees what another wrote, and the rootfs stays as it was', () => {
  const shared = tree();
  const one = new Root(shared, budget());
  const two = new Root(shared, budget());
  open(one, 'a').fd_write(bytes('MINE'));
  open(one, 'dir/b').fd_pwrite(bytes('longer than it was'), 2n);
  open(one, 'dir/new', wasi.OFLAGS_CREAT).fd_write(bytes('x'));
  assert.equal(one.path_unlink_file('dir/b'), wasi.ERRNO_SUCCESS);
  assert.equal(text(open(two, 'a').fd_read(100).data), 'shared');
  assert.equal(text(open(two, 'dir/b').fd_read(100).data), 'deep');
  assert.equal(two.path_open(0, 'dir/new', 0, 0n, 0n, 0).ret, wasi.ERRNO_NOENT);
  assert.equal(text(shared.get('a')), 'shared');
});

test('truncating a shared file leaves the shared bytes alone', () => {
  const shared = tree();
  const root = new Root(shared, budget());
  open(root, 'a', wasi.OFLAGS_TRUNC).fd_write(bytes('z'));
  assert.equal(text(open(root, 'a').fd_read(100).data), 'z');
  assert.equal(text(shared.get('a')), 'shared');
});

test('a file grows in linear time', () => {
  const file = new RunFile(new Uint8Array(0), budget(1 << 30));
  const chunk = new Uint8Array(64);
  const began = performance.now();
  for (let at = 0; at < 32 << 20; at += chunk.length) file.write(chunk, at);
  assert.ok(performance.now() - began < 2000, `${performance.now() - began} ms for half a million writes`);
  assert.equal(file.data.length, 32 << 20);
});

test('what a run writes is limited, what it takes back may be written again', () => {
  const root = new Root(tree(), budget(2000));
  const file = open(root, 'f', wasi.OFLAGS_CREAT);
  file.fd_write(new Uint8Array(1700));
  assert.throws(() => file.fd_write(new Uint8Array(100)), /files limit exceeded: more than 2000 bytes/);
  const again = new Root(tree(), budget(2000));
  const other = open(again, 'f', wasi.OFLAGS_CREAT);
  for (let round = 0; round < 10; round++) {
    other.fd_write(new Uint8Array(1700));
    assert.equal(other.fd_filestat_set_size(0n), wasi.ERRNO_SUCCESS);
    other.fd_seek(0n, wasi.WHENCE_SET);
  }
});

test('a write far behind the end is stopped by the limit before memory is taken', () => {
  const file = open(new Root(null, budget()), 'f', wasi.OFLAGS_CREAT);
  for (const offset of [1n << 31n, 1n << 40n, (1n << 63n) - 1n]) assert.throws(() => file.fd_pwrite(bytes('x'), offset), /files limit/);
  assert.throws(() => file.fd_allocate(0n, 1n << 40n), /files limit/);
  assert.equal(file.fd_filestat_set_size(-1n), wasi.ERRNO_INVAL);
  assert.equal(file.fd_pwrite(bytes('x'), -1n).ret, wasi.ERRNO_INVAL);
});

test('empty files and directories count too', () => {
  const root = new Root(null, budget(10_000));
  assert.throws(() => {
    for (let i = 0; i < 100; i++) open(root, `f${i}`, wasi.OFLAGS_CREAT);
  }, /files limit/);
});

test('shrinking and growing shows zeros, not what was there', () => {
  const file = open(new Root(null, budget()), 'f', wasi.OFLAGS_CREAT);
  file.fd_write(bytes('secret'));
  file.fd_filestat_set_size(2n);
  file.fd_filestat_set_size(6n);
  assert.equal(text(file.fd_pread(6, 0n).data), 'se\0\0\0\0');
});

test('a directory of many entries is read in linear time and completely', () => {
  const many = new Map(Array.from({ length: 20_000 }, (_, i) => [`f${i}`, new Uint8Array(0)]));
  const root = new Root(many, budget());
  const names = [];
  const began = performance.now();
  for (let cookie = 0n; ; cookie++) {
    const { dirent } = root.fd_readdir_single(cookie);
    if (!dirent) break;
    names.push(text(dirent.dir_name));
  }
  assert.deepEqual(names.slice(0, 3), ['.', '..', 'f0']);
  assert.equal(names.length, 20_002);
  assert.ok(performance.now() - began < 1000);
});

test('artifacts: files, directories with all below, and what is missing', () => {
  const root = new Root(tree(), budget());
  open(root, 'out.txt', wasi.OFLAGS_CREAT).fd_write(bytes('made'));
  const { zip, missing } = collect(root.dir, ['/out.txt', 'dir', 'dir/b', 'nowhere', '../a'], 1000);
  assert.deepEqual(Object.keys(unzipSync(zip)), ['out.txt', 'dir/', 'dir/b']);
  assert.deepEqual(missing, ['nowhere', '../a']);
});

test('artifacts beyond the limit, or nested without end, are refused', () => {
  const deep = new Map();
  let at = deep;
  for (let i = 0; i < 300; i++) at.set('d', (at = new Map()));
  assert.throws(() => collect(new Root(deep, budget()).dir, ['/'], 1000), /artifacts: more than 256 directories/);
  assert.throws(() => collect(new Root(tree(), budget()).dir, ['/'], 8), /artifacts: files limit exceeded: more than 8 bytes/);
});

test('statistics have their times where preview 1 wants them', () => {
  const stat = open(new Root(tree(), budget()), 'a').fd_filestat_get().filestat;
  stat.mtim = 0x1122334455667788n;
  const view = new DataView(new ArrayBuffer(64));
  stat.write_bytes(view, 0);
  assert.equal(view.getBigUint64(32, true), 6n);
  assert.equal(view.getBigUint64(48, true), 0x1122334455667788n);
});
