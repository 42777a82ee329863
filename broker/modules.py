"""What stored programs need of a provider, read from their imports once. Imports blobs."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.store.catalogue import Blob

MAX_READ = 1 << 20
"""Bytes of an import section that are looked at: real ones have some kilobytes."""
MAX_SECTIONS = 64
"""Sections that are passed over on the way to it: of types, and custom ones."""
REMEMBERED = 4096
HEADER = b"\0asm\x01\0\0\0"
CUSTOM, TYPE, IMPORT = 0, 1, 2
THREAD_SPAWN = b"\x04wasi\x0cthread-spawn\x00"
"""How a function of this module and name is imported (core specification §5.5.5)."""


class Modules:
    """What was seen in modules. The first `look` at one reads a few of its first bytes, at once."""

    def __init__(self) -> None:
        self.threaded: OrderedDict[str, bool] = OrderedDict()
        """Whether a module starts threads, by its ref."""

    def look(self, blob: Blob) -> bool:
        """Whether it starts threads."""
        found = self.threaded[blob.ref] = imports_threads(_Bytes(blob))
        if len(self.threaded) > REMEMBERED:
            self.threaded.popitem(last=False)
        return found


class _Bytes:
    """Parts of a blob, wherever it is; b"" where it can't be read (any more)."""

    def __init__(self, blob: Blob) -> None:
        self._data = blob.data
        self._path = blob.path

    def part(self, start: int, length: int) -> bytes:
        if self._data is not None:
            return self._data[start : start + length]
        if self._path is None:
            return b""
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except OSError:
            return b""
        try:
            return os.pread(fd, length, start)
        except OSError:
            return b""
        finally:
            os.close(fd)


def imports_threads(module: _Bytes) -> bool:
    """Whether it imports `wasi.thread-spawn`. Total: bytes that are no module import nothing."""
    if module.part(0, len(HEADER)) != HEADER:
        return False
    place = len(HEADER)
    for _ in range(MAX_SECTIONS):
        head = module.part(place, 6)
        if not head or head[0] not in (CUSTOM, TYPE, IMPORT):
            return False
        size, width = _varint(head[1:])
        if not width:
            return False
        place += 1 + width
        if head[0] == IMPORT:
            return THREAD_SPAWN in module.part(place, min(size, MAX_READ))
        place += size
    return False


def _varint(data: bytes) -> tuple[int, int]:
    """An unsigned LEB128 of at most five bytes, and its width; (0, 0) when it is none."""
    value = 0
    for index, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, index + 1
    return 0, 0
