"""Cases of archives as different tools pack them: Deflate64, zip64, sizes that come behind the data. Pure data."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from inflate64 import Deflater

from . import programs as p
from .case import Case

DEFLATE64 = 9
LARGE = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """As an archive says it is; `size` and `crc` of what it was are true unless they are given."""

    name: str
    packed: bytes
    content: bytes = b""
    size: int | None = None
    crc: int | None = None
    method: int = DEFLATE64

    def numbers(self) -> tuple[int, int]:
        size = len(self.content) if self.size is None else self.size
        return zlib.crc32(self.content) if self.crc is None else self.crc, size


def assemble(entries: Sequence[Entry], zip64: bool = False) -> bytes:
    """An archive of these; `zip64`: all sizes and offsets are in the extra fields of APPNOTE 4.5.3."""
    out, directory = bytearray(), bytearray()
    for entry in entries:
        name, (crc, size), packed, offset = entry.name.encode(), entry.numbers(), len(entry.packed), len(out)
        fixed = (45, 0, entry.method, 0, 0, crc)
        out += struct.pack("<4s5H3L2H", b"PK\3\4", *fixed, packed, size, len(name), 0) + name + entry.packed
        extra = struct.pack("<2H3Q", 1, 24, size, packed, offset) if zip64 else b""
        told = (LARGE, LARGE, LARGE) if zip64 else (packed, size, offset)
        head = struct.pack("<4sH5H3L5H2L", b"PK\1\2", 45, *fixed, *told[:2], len(name), len(extra), 0, 0, 0, 0, told[2])
        directory += head + name + extra
    begin, count = len(out), len(entries)
    out += directory
    if zip64:
        out += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), begin)
        out += struct.pack("<4sLQL", b"PK\6\7", 0, begin + len(directory), 1)
        return bytes(out) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, LARGE, LARGE, 0)
    return bytes(out) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), begin, 0)


def deflated64(content: bytes) -> bytes:
    deflater = Deflater()
    return bytes(deflater.deflate(content) + deflater.flush())


def zeros64(size: int) -> bytes:
    """So many zeros and a few more, as tightly as Deflate64 can: 65 538 bytes of them in 29 bits."""
    bits = 0b1 | 0b01 << 1 | _reversed(0x30, 8) << 3
    length = 11
    for _ in range(-(-size // 65538)):
        bits |= (_reversed(0xC5, 8) | 0xFFFF << 8) << length
        length += 29
    return bits.to_bytes((length + 7) // 8 + 1, "little")


def _reversed(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)


def described(files: dict[str, bytes], method: int) -> bytes:
    """As it is written to a pipe: sizes and checksums behind the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return pipe.getvalue()


_random = random.Random(64)
FAR = _random.randbytes(50_000)
CONTENTS = {
    "empty": b"",
    "text": b"to be or not to be, " * 500,
    "noise": _random.randbytes(300_000),
    "far": FAR + _random.randbytes(14_000) + FAR + bytes(1000) + FAR,
    "zeros": bytes(2_000_000),
}
FILES = [Entry(name, deflated64(content), content) for name, content in CONTENTS.items()]
NOOP = p.app("testing/noop")
MUCH = 1 << 30


def brought_back(name: str, archive: bytes, files: dict[str, bytes]) -> Case:
    return Case(name, NOOP, rootfs=archive, artifacts=tuple(files), files=files)


def refused(name: str, entry: Entry, error: str = "rootfs: the zip archive is damaged") -> Case:
    return Case(name, NOOP, rootfs=assemble([entry]), error=error)


PACKINGS = [
    brought_back("Deflate64", assemble(FILES), CONTENTS),
    brought_back("Deflate64 in zip64", assemble(FILES, zip64=True), CONTENTS),
    brought_back(
        "as tight as it can be", assemble([Entry("z", zeros64(5_000_000), bytes(77 * 65538 + 1))]), {"z": bytes(77 * 65538 + 1)}
    ),
    brought_back("stored, sizes behind", described(CONTENTS, zipfile.ZIP_STORED), CONTENTS),
    brought_back("deflated, sizes behind", described(CONTENTS, zipfile.ZIP_DEFLATED), CONTENTS),
    brought_back("stored in zip64", assemble([Entry("a", b"text", b"text", method=0)], zip64=True), {"a": b"text"}),
    refused(
        "a Deflate64 bomb", Entry("z", zeros64(MUCH), size=MUCH), "rootfs: files limit exceeded: 1073741824 bytes unpacked"
    ),
    refused("a Deflate64 bomb that lies", Entry("z", zeros64(MUCH), size=1000)),
    refused("a Deflate64 entry that is shorter than it says", Entry("a", deflated64(b"tiny"), b"tiny", size=5)),
    refused("a Deflate64 entry of other content", Entry("a", deflated64(b"tiny"), b"TINY")),
    refused("a Deflate64 entry that is cut", Entry("a", deflated64(CONTENTS["text"])[:-9], CONTENTS["text"])),
    refused("no Deflate64 at all", Entry("a", bytes(range(7, 200)), b"x" * 100)),
    refused("packed with bzip2", Entry("a", b"BZh", b"x", method=12), 'rootfs: "a" is packed with method 12'),
    refused("packed with LZMA", Entry("a", b"BZh", b"x", method=14), 'rootfs: "a" is packed with method 14'),
    Case("the slot works after them", NOOP),
]
