"""Blobs and compiled modules on disk, by digest, shared by the slots of all providers of one user. Standard library only.

The folder is ours alone (0700): compiled modules are machine code, which is run as it is found. Files appear whole
(written aside, renamed) and are checked against their digest when read; what is damaged is dropped and made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import UsageError

DEFAULT_LIMIT = 4 << 30
MAX_BLOB = 1 << 30
MAX_REFS = 1000
"""Told of, at most."""
ABANDONED = 86400.0
"""Seconds after which nobody is still writing a file."""
DIGEST = hashlib.sha256().digest_size
SIZE = 8
"""Bytes of the number before a compiled module."""


def default_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasimoff"


def ref_of(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


class BlobCache:
    """`ports.Blobs` on disk, and what the slots need besides. `limit` bytes are kept, least recently used go first."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        """Raises UsageError when the folder can't be made, or belongs to others too."""
        self.folder = folder
        self._limit = limit
        self._blobs = folder / "blobs"
        self._modules = folder / "modules"
        self._locks = folder / "locks"
        self.scratch = folder / "scratch"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own(folder)
            for part in (self._blobs, self._modules, self._locks, self.scratch):
                part.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the cache folder {folder} can't be used: {error.strerror}; give another with --cache") from None

    def _own(self, folder: Path) -> None:
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise UsageError(f"the cache folder {folder} belongs to another user; give another with --cache")
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)

    # ports.Blobs

    def refs(self) -> list[str]:
        """Refs of the blobs, the most recently used first, MAX_REFS at most."""
        return [f"sha256:{entry.name}" for _, entry in reversed(_by_age(self._blobs)[-MAX_REFS:])]

    def has(self, ref: str) -> bool:
        return self._path(ref).is_file()

    def put(self, blob: bytes, media: str = "") -> str:
        """Keep a blob. Raises UsageError when it is too large, or the disk is full."""
        if len(blob) > MAX_BLOB:
            raise UsageError(f"a blob of {len(blob)} bytes is too large to keep, at most {MAX_BLOB} are taken")
        ref = ref_of(blob)
        if not self.has(ref):
            try:
                with self.adding(ref) as path:
                    path.write_bytes(blob)
            except OSError as error:
                raise UsageError(f"the blob can't be kept: {error.strerror}") from None
        return ref

    # For slots.

    def get(self, ref: str) -> bytes | None:
        """A blob whose digest is right, or None."""
        path = self._path(ref)
        try:
            blob = path.read_bytes()
        except OSError:
            return None
        if ref_of(blob) != ref:
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return blob

    def open(self, ref: str) -> BinaryIO | None:
        """A blob to be read in parts, whose digest was checked, or None. It stays whole while it is open."""
        path = self._path(ref)
        try:
            file = path.open("rb")
        except OSError:
            return None
        if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != ref:
            file.close()
            path.unlink(missing_ok=True)
            return None
        file.seek(0)
        _touch(path)
        return file

    def adding(self, ref: str) -> AbstractContextManager[Path]:
        """A path to write a blob to, whose digest the caller checks; it is kept under its ref if the block ends well."""
        return self._adding(self._path(ref))

    def get_module(self, key: str, ref: str) -> tuple[int, bytes] | None:
        """(bytes of its source, the compiled module as it was put), or None. `key` names engine and configuration."""
        path = self._modules / f"{key}-{_hex(ref)}"
        try:
            kept = path.read_bytes()
        except OSError:
            return None
        digest, rest = kept[:DIGEST], memoryview(kept)[DIGEST:]
        if len(rest) < SIZE or hashlib.sha256(rest).digest() != digest:
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return int.from_bytes(rest[:SIZE], "little"), bytes(rest[SIZE:])

    def put_module(self, key: str, ref: str, size: int, code: bytes | bytearray) -> None:
        """Keep a module compiled from `size` bytes; a full disk is no matter, it is compiled again then."""
        kept = size.to_bytes(SIZE, "little") + code
        with suppress(OSError), self._adding(self._modules / f"{key}-{_hex(ref)}") as path:
            path.write_bytes(hashlib.sha256(kept).digest() + kept)

    @contextmanager
    def lock(self, what: str, ref: str, *, wait: bool = True) -> Iterator[None]:
        """Held by one slot at a time, so that a blob is fetched, compiled, unpacked once. Raises OSError.

        Without waiting BlockingIOError is raised when another has it.
        """
        # One of 256 files, never removed: to remove a lock that others wait for is to lose it.
        with open(self._locks / f"{what}-{_hex(ref)[:2]}", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def _path(self, ref: str) -> Path:
        return self._blobs / _hex(ref)

    @contextmanager
    def _adding(self, path: Path) -> Iterator[Path]:
        descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        os.close(descriptor)
        aside = Path(name)
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        self._evict()

    def tidy(self) -> None:
        """Remove what was written aside by those that were killed while they did."""
        for folder in (self._blobs, self._modules):
            for path in folder.glob(".*"):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > ABANDONED:
                        path.unlink()

    def _evict(self) -> None:
        kept = sorted(_by_age(self._blobs) + _by_age(self._modules), key=lambda entry: entry[0])
        total = sum(entry.stat().st_size for _, entry in kept)
        for _, entry in kept[:-1]:
            if total <= self._limit:
                return
            total -= entry.stat().st_size
            with suppress(OSError):
                os.unlink(entry.path)


def _hex(ref: str) -> str:
    digest = ref.removeprefix("sha256:")
    return digest if len(digest) == 64 and digest.isalnum() else "0" * 64


def _touch(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)


def _by_age(folder: Path) -> list[tuple[float, os.DirEntry[str]]]:
    """(time of last use, entry), the oldest first; what vanishes meanwhile is left out."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if not entry.name.startswith("."):
                    found.append((entry.stat().st_mtime, entry))
    return sorted(found, key=lambda pair: pair[0])
