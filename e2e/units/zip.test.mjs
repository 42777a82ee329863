import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strFromU8, unzipSync, zipSync } from 'fflate';
import { Symlink } from '../../static/js/wasi/tree.js';
import * as zip from '../../static/js/wasi/zip.js';

const { pack } = zip;
const unpack = (archive, limit) => zip.unpack(archive, limit, 0, 'rootfs');
const MiB = 1 << 20;
const bytes = (text) => new TextEncoder().encode(text);
const END = 22; // an archive without a comment ends with 22 bytes of directory

/** Overwrites a number in the directory entry or local header that starts at the signature. */
function patch(archive, signature, offset, size, value) {
  const view = new DataView(archive.buffer, archive.byteOffset);
  for (let at = 0; at < archive.length - 4; at++) {
    if (view.getUint32(at, true) !== signature) continue;
    if (size === 2) view.setUint16(at + offset, value, true);
    else view.setUint32(at + offset, value, true);
    return archive;
  }
  throw new Error('nothing to patch');
}

test('stored and deflated entries, directories and names beyond ASCII are unpacked', () => {
  const archive = zipSync({ 'a/b.txt': bytes('x'.repeat(5000)), 'empty/': new Uint8Array(0), 'Grüße.txt': [bytes('hallo'), { level: 0 }] });
  const { tree, size } = unpack(archive, MiB);
  assert.equal(size, 5005);
  assert.equal(tree.get('a').get('b.txt').length, 5000);
  assert.equal(strFromU8(tree.get('Grüße.txt')), 'hallo');
  assert.equal(tree.get('empty').size, 0);
});

test('an archive beyond the limit is refused before anything is unpacked', () => {
  const archive = zipSync({ a: new Uint8Array(MiB), b: new Uint8Array(1) });
  assert.equal(unpack(archive, MiB + 1).size, MiB + 1);
  assert.throws(() => unpack(archive, MiB), /files limit exceeded: 1048577 bytes unpacked, at most 1048576/);
});

test('an archive that lies about its sizes is damaged, not a bomb', () => {
  const archive = zipSync({ bomb: new Uint8Array(64 * MiB) });
  patch(archive, 0x02014b50, 24, 4, 1000);
  assert.throws(() => unpack(archive, MiB), /damaged at "bomb"/);
});

test('more than a thousandfold is a bomb whatever the limit', () => {
  const archive = zipSync({ bomb: new Uint8Array(20 * MiB) });
  patch(archive, 0x02014b50, 24, 4, 0x7fffffff);
  assert.throws(() => unpack(archive, 2 ** 40), /zip bomb/);
  patch(archive, 0x02014b50, 10, 2, 9);
  assert.throws(() => unpack(archive, 2 ** 40), /zip bomb/);
});

for (const path of ['../x', 'a/../../x', '/etc/passwd', 'C:/x', 'a\\..\\x']) {
  test(`the entry ${path} is refused`, () => {
    assert.throws(() => unpack(zipSync({ [path]: bytes('x') }), MiB), /leads outside of the archive/);
  });
}

test('a file that is also a directory is refused, in either order', () => {
  assert.throws(() => unpack(zipSync({ a: bytes('x'), 'a/b': bytes('y') }), MiB), /is a file and a directory/);
  assert.throws(() => unpack(zipSync({ 'a/b': bytes('y'), a: bytes('x') }), MiB), /is a file and a directory/);
});

test('an archive whose directories nest without end is refused', () => {
  assert.throws(() => unpack(zipSync({ [`${'d/'.repeat(300)}x`]: bytes('x') }), MiB), /more than 256 directories/);
});

test('a changed byte is noticed', () => {
  const archive = zipSync({ a: [bytes('hello world'), { level: 0 }] });
  archive[35] ^= 1;
  assert.throws(() => unpack(archive, MiB), /damaged at "a"/);
});

test('what is not a zip, encrypted, or packed in another way is named', () => {
  assert.throws(() => unpack(bytes('not a zip at all, but long enough'), MiB), /not a zip archive/);
  assert.throws(() => unpack(new Uint8Array(0), MiB), /not a zip archive/);
  assert.throws(() => unpack(patch(zipSync({ a: bytes('x') }), 0x02014b50, 8, 2, 1), MiB), /"a" is encrypted/);
  assert.throws(() => unpack(patch(zipSync({ a: bytes('x') }), 0x02014b50, 10, 2, 12), MiB), /method 12/);
});

test('any cut or garbled archive gives an error in words, never another exception', () => {
  const archive = zipSync({ 'a/b': bytes('x'.repeat(300)), c: [bytes('y'.repeat(300)), { level: 0 }] });
  for (let round = 0; round < 6000; round++) {
    // The same bits mean something else to Deflate64.
    if (round === 3000) patch(archive, 0x02014b50, 10, 2, 9);
    const broken = archive.slice(0, round % 3 ? archive.length : Math.floor(Math.random() * archive.length));
    for (let flips = 0; flips < 4; flips++) broken[Math.floor(Math.random() * broken.length)] = Math.random() * 256;
    try {
      unpack(broken, MiB);
    } catch (error) {
      assert.equal(error.name, 'Fault', `${error.stack}`);
      assert.match(error.message, /^rootfs: /);
    }
  }
});

test('the count in the end record does not make us read on', () => {
  const archive = zipSync({ a: bytes('x') });
  new DataView(archive.buffer).setUint16(archive.length - END + 10, 60_000, true);
  assert.throws(() => unpack(archive, MiB), /damaged at its directory/);
});

test('artifacts are packed to the same bytes each time', () => {
  const files = [['dir/', new Uint8Array(0)], ['dir/x', bytes('1')]];
  const first = pack(files);
  assert.deepEqual(first, pack(files));
  assert.deepEqual(Object.keys(unzipSync(first)), ['dir/', 'dir/x']);
});

test('large noise is not packed, all else is', () => {
  const noise = new Uint8Array(2 * MiB);
  for (let at = 0; at < noise.length; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536));
  const half = noise.slice();
  half.fill(7, 0, MiB);
  assert.ok(pack([['noise', noise]]).length > noise.length);
  assert.ok(pack([['half', half]]).length < 1.1 * MiB);
  assert.ok(pack([['zeros', new Uint8Array(2 * MiB)]]).length < 10_000);
  assert.deepEqual(unzipSync(pack([['noise', noise]])).noise, noise);
});

/** An archive as a Unix tool makes it, each entry with its mode. */
function unixZip(entries) {
  return zipSync(Object.fromEntries(entries.map(([name, content, mode]) => [name, [bytes(content), { os: 3, attrs: (mode << 16) >>> 0 }]])));
}

test('symbolic links are kept as such, unless they lead outside', () => {
  const link = 0o120777;
  const { tree } = unpack(unixZip([['d/f', 'x', 0o100644], ['d/up', '../d/./f', link], ['top', 'd/up', link]]), MiB);
  assert.ok(tree.get('top') instanceof Symlink);
  assert.equal(tree.get('d').get('up').target, '../d/./f');
  for (const target of ['/etc', '../x', 'd/../../x', '', 'a\\b', 'x'.repeat(5000)]) {
    assert.throws(() => unpack(unixZip([['l', target, link]]), MiB), /"l" is a symbolic link that leads outside of the archive/, target);
  }
  assert.throws(() => unpack(unixZip([['l', 'd', link], ['l/x', 'y', 0o100644]]), MiB), /is a file and a directory/);
});

test('zip64: what does not fit the old fields is taken from the new ones', () => {
  const name = 'a.txt';
  const u16 = (value) => [value & 255, value >> 8];
  const u32 = (value) => [...u16(value & 0xffff), ...u16(value >>> 16)];
  const u64 = (value) => [...u32(value), ...u32(0)];
  const local = [...u32(0x04034b50), ...u16(45), ...u16(0), ...u16(0), ...u32(0), ...u32(0xd87f7e0c), ...u32(4), ...u32(4), ...u16(5), ...u16(0), ...bytes(name), ...bytes('test')];
  const central = [
    ...u32(0x02014b50), ...u16(45), ...u16(45), ...u16(0), ...u16(0), ...u32(0), ...u32(0xd87f7e0c), ...u32(0xffffffff), ...u32(0xffffffff),
    ...u16(5), ...u16(28), ...u16(0), ...u16(0), ...u16(0), ...u32(0), ...u32(0xffffffff), ...bytes(name), ...u16(1), ...u16(24), ...u64(4), ...u64(4), ...u64(0),
  ];
  const end64 = local.length + central.length;
  const tail = [
    ...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0), ...u64(1), ...u64(1), ...u64(central.length), ...u64(local.length),
    ...u32(0x07064b50), ...u32(0), ...u64(end64), ...u32(1),
    ...u32(0x06054b50), ...u16(0), ...u16(0), ...u16(0xffff), ...u16(0xffff), ...u32(0xffffffff), ...u32(0xffffffff), ...u16(0),
  ];
  const archive = Uint8Array.from([...local, ...central, ...tail]);
  assert.equal(strFromU8(unpack(archive, MiB).tree.get(name)), 'test');
  for (let at = 0; at < archive.length; at++) {
    const broken = archive.slice();
    broken[at] ^= 0xff;
    try {
      unpack(broken, MiB);
    } catch (error) {
      assert.equal(error.name, 'Fault', `byte ${at}: ${error.stack}`);
    }
  }
});
