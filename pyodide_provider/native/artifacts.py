"""What a run leaves behind: the asked-for paths of its root, packed. Standard library only.

The folder was a program's to write: no link in it is followed.
"""

from __future__ import annotations

import os
import stat
import zipfile
from io import BytesIO

from ..errors import TaskFault

MAX_DEPTH = 256
CHUNK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)


def collect(root: str, paths: tuple[str, ...], limit: int) -> tuple[bytes, list[str]]:
    """(zip, missing paths); a directory brings everything below it. Raises TaskFault beyond `limit` bytes, or too deep."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        packer = _Packer(archive, limit)
        missing = [path for path in paths if not _find(root, path, packer)]
    return buffer.getvalue(), missing


def missing_text(paths: list[str]) -> bytes:
    return "".join(f"wasimoff: artifact not found: {path}\n" for path in paths).encode("utf-8", "replace")


def _find(root: str, path: str, packer: _Packer) -> bool:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        return False
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        name = parts[-1] if parts else "."
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return False
        packer.add(descriptor, name, "/".join(parts), found, 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


class _Packer:
    def __init__(self, archive: zipfile.ZipFile, limit: int) -> None:
        self._archive = archive
        self._limit = limit
        self._left = limit
        self._names: set[str] = set()

    def add(self, parent: int, name: str, path: str, found: os.stat_result, depth: int) -> None:
        """A file or directory `name` of the open directory `parent`, as `path` in the archive; others are left out."""
        if depth > MAX_DEPTH:
            raise TaskFault(f"artifacts: more than {MAX_DEPTH} directories inside each other")
        if stat.S_ISREG(found.st_mode):
            self._file(parent, name, path, found.st_size)
        elif stat.S_ISDIR(found.st_mode):
            self._directory(parent, name, path, depth)

    def _directory(self, parent: int, name: str, path: str, depth: int) -> None:
        if path and self._is_new(f"{path}/"):
            self._archive.writestr(zipfile.ZipInfo(f"{path}/", EPOCH), b"")
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            for child in sorted(os.listdir(descriptor)):
                found = os.stat(child, dir_fd=descriptor, follow_symlinks=False)
                self.add(descriptor, child, f"{path}/{child}" if path else child, found, depth + 1)
        finally:
            os.close(descriptor)

    def _file(self, parent: int, name: str, path: str, size: int) -> None:
        if not self._is_new(path):
            return
        self._left -= size
        if self._left < 0:
            raise TaskFault(f"artifacts: files limit exceeded: more than {self._limit} bytes")
        entry = zipfile.ZipInfo(path, EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o100644 << 16
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent)
        with open(descriptor, "rb") as file, self._archive.open(entry, "w") as packed:
            while chunk := file.read(CHUNK):
                packed.write(chunk)

    def _is_new(self, path: str) -> bool:
        new = path not in self._names
        self._names.add(path)
        return new
