"""Bytes that are too large for memory, in a temporary file that goes with them. Standard library only."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from typing import IO


class Kept:
    """So many bytes (`size`) in a file, which is deleted when nobody holds this any more. Pickled, it is the bytes."""

    def __init__(self) -> None:
        handle, self._path = tempfile.mkstemp(prefix="wasimoff-")
        self._writer: IO[bytes] | None = os.fdopen(handle, "wb")
        self.size = 0
        self._finish = weakref.finalize(self, _remove, self._path)

    def write(self, chunk: bytes) -> None:
        """More of them, before `done`."""
        assert self._writer is not None
        self._writer.write(chunk)
        self.size += len(chunk)

    def done(self) -> None:
        """All of them are there, or no more are wanted."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def open(self) -> IO[bytes]:
        """The bytes as a file of one's own, to be closed."""
        return open(self._path, "rb")

    def read(self) -> bytes:
        """All of them at once."""
        with self.open() as file:
            return file.read()

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (self.read(),)

    def __repr__(self) -> str:
        return f"<{self.size} bytes in a file>"


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
