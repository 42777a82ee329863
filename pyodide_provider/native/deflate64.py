"""Reads entries of zips that are packed with Deflate64 (method 9), which Python's zipfile lacks. Imports inflate64."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO

METHOD = 9
LOCAL = struct.Struct("<4s22x2H")
PIECE = 256
"""Packed bytes that are given to the library at once: they may become 27 000 times as many."""


class Deflate64:
    """An entry's content, read as that of `zipfile.ZipFile.open` is; for the length and the checksum that the entry has.

    Raises zipfile.BadZipFile, struct.error, or ValueError when it is damaged.
    """

    def __init__(self, archive: IO[bytes], entry: zipfile.ZipInfo) -> None:
        from inflate64 import Inflater

        archive.seek(entry.header_offset)
        signature, name, extra = LOCAL.unpack(archive.read(LOCAL.size))
        if signature != b"PK\3\4":
            raise zipfile.BadZipFile("an entry is not where it should be")
        self._archive = archive
        self._at = entry.header_offset + LOCAL.size + name + extra
        self._packed = entry.compress_size
        self._left = entry.file_size
        self._wanted = entry.CRC
        self._crc = 0
        self._inflater = Inflater()
        self._ready = bytearray()

    def __enter__(self) -> Deflate64:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        """As many bytes, fewer only at the end."""
        while len(self._ready) < size and self._packed and not self._inflater.eof:
            self._fill(size)
        if len(self._ready) < size and (self._left or self._crc != self._wanted):
            raise zipfile.BadZipFile("an entry is not what it says")
        part = bytes(self._ready[:size])
        del self._ready[:size]
        return part

    def _fill(self, size: int) -> None:
        """Unpacks until there is as much, and no more than a piece beyond."""
        self._archive.seek(self._at)
        packed = self._archive.read(min(self._packed, max(size, PIECE)))
        if not packed:
            raise zipfile.BadZipFile("an entry ends early")
        for at in range(0, len(packed), PIECE):
            piece = packed[at : at + PIECE]
            self._at += len(piece)
            self._packed -= len(piece)
            part = self._inflater.inflate(piece)
            self._left -= len(part)
            if self._left < 0:
                raise zipfile.BadZipFile("an entry is longer than it says")
            self._crc = zlib.crc32(part, self._crc)
            self._ready += part
            if len(self._ready) >= size or self._inflater.eof:
                return
