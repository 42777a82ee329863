"""Blobs as files by digest, with an index beside them. Imports the store's own modules and the errors. Blocks.

A file gets its final name only when all of it is on disk, and a row only after that: so a file with a final name is
whole, a row without a file was not ours to lose, and a file without a row (we were killed in between) is taken up again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from broker.errors import UnsupportedMedia, UsageError
from broker.store.catalogue import Blob
from broker.store.content import HEAD, media_type
from broker.store.sqlite import Index, Row
from broker.store.store import Incoming

log = logging.getLogger("broker")

_PREFIX = "sha256:"


class DiskIncoming:
    """A file in `incoming/`, made with the first write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._over = False
        self._fd = -1
        self.path: Path | None = None

    def write(self, data: bytes) -> None:
        with self._lock:
            if self._over:
                return
            if self.path is None:
                self._fd, name = tempfile.mkstemp(dir=self._directory)
                self.path = Path(name)
            self._hash.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]

    def finish(self) -> str:
        with self._lock:
            if self._fd >= 0:
                os.fsync(self._fd)
                self._close()
            return f"{_PREFIX}{self._hash.hexdigest()}"

    def discard(self) -> None:
        with self._lock:
            self._over = True
            self._close()
            if self.path is not None:
                self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class DiskStore:
    """`blobs/ab/cdef…`, `incoming/` and `blobs.sqlite` in one directory, which is made when it is missing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blobs = directory / "blobs"
        self._incoming = directory / "incoming"
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        assert self._index is not None, "the store is not open"
        return self._index

    def open(self) -> tuple[list[tuple[Blob, float]], dict[str, str]]:
        try:
            for directory in (self._directory, self._blobs, self._incoming):
                directory.mkdir(parents=True, exist_ok=True)
            self._index = Index(self._directory / "blobs.sqlite")
            self._clear_incoming()
            files = dict(self._files())
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"the data directory {self._directory} can't be used: {reason}; set WASIMOFF_FILESTORAGE"
            ) from None
        self._drop_rows_without_file(files)
        self._take_up_files_without_row(files)
        held = [(self._blob(digest, media, size, created), used) for digest, media, size, created, used in self.index.blobs()]
        return held, {name: _PREFIX + digest for name, digest in self.index.names().items()}

    def _clear_incoming(self) -> None:
        for entry in os.scandir(self._incoming):
            if entry.is_file(follow_symlinks=False):
                os.unlink(entry)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        for directory in os.scandir(self._blobs):
            if not re.fullmatch(r"[0-9a-f]{2}", directory.name) or not directory.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(directory):
                if re.fullmatch(r"[0-9a-f]{62}", entry.name) and entry.is_file(follow_symlinks=False):
                    yield directory.name + entry.name, entry.stat()

    def _drop_rows_without_file(self, files: dict[str, os.stat_result]) -> None:
        gone = [row[0] for row in self.index.blobs() if row[0] not in files or files[row[0]].st_size != row[2]]
        if gone:
            log.warning("%d files are gone from %s or have another size, and are forgotten", len(gone), self._blobs)
            self.index.remove(gone)
            for digest in gone:
                files.pop(digest, None)
                self._path(digest).unlink(missing_ok=True)

    def _take_up_files_without_row(self, files: dict[str, os.stat_result]) -> None:
        known = {row[0] for row in self.index.blobs()}
        rows: list[Row] = []
        for digest in files.keys() - known:
            path, stat = self._path(digest), files[digest]
            try:
                with path.open("rb") as file:
                    media = media_type(file.read(HEAD))
            except UnsupportedMedia:
                path.unlink()
                continue
            rows.append((digest, media, stat.st_size, stat.st_mtime, stat.st_mtime))
        self.index.put(rows)

    def _path(self, digest: str) -> Path:
        return self._blobs / digest[:2] / digest[2:]

    def _blob(self, digest: str, media: str, size: int, created: float) -> Blob:
        return Blob(_PREFIX + digest, media, size, created, path=self._path(digest))

    def incoming(self) -> DiskIncoming:
        return DiskIncoming(self._incoming)

    def keep(self, incoming: Incoming | None, blob: Blob, name: str | None, used: float) -> Blob:
        digest = blob.ref.removeprefix(_PREFIX)
        path = self._path(digest)
        if incoming is not None:
            assert isinstance(incoming, DiskIncoming)
            assert incoming.path is not None
            path.parent.mkdir(exist_ok=True)
            # Also when it is there already: what has just arrived is known to be right.
            os.replace(incoming.path, path)
            _sync_directory(path.parent)
        row = (digest, blob.media, blob.size, blob.created, used)
        try:
            self.index.put([row], [(name, digest)] if name else [])
        except sqlite3.Error:
            if blob.path is None:
                path.unlink(missing_ok=True)
            raise
        return replace(blob, path=path)

    def remove(self, refs: list[str]) -> None:
        digests = [ref.removeprefix(_PREFIX) for ref in refs]
        self.index.remove(digests)
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def touch(self, used: list[tuple[float, str]]) -> None:
        self.index.touch((when, ref.removeprefix(_PREFIX)) for when, ref in used)

    def close(self) -> None:
        if self._index is not None:
            self._index.close()


def _sync_directory(path: Path) -> None:
    """Make renames in it last through a power cut, where the system can."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
