"""What a run leaves behind: the asked-for paths of its root, packed. Standard library only.

The folder was a program's to write: no link in it is followed.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from fnmatch import translate
from typing import BinaryIO

from ..errors import TaskFault

MAX_PATTERNS = 100
"""Each is compared with each path."""
CHUNK = 1 << 20
WORTH_A_LOOK = 1 << 20
"""Bytes."""
SAMPLES, SAMPLE = 5, 16 << 10
EPOCH = (1980, 1, 1, 0, 0, 0)


def collect(root: str, paths: tuple[str, ...], written: Iterable[str], limit: int, out: BinaryIO) -> list[str]:
    """Pack what is asked for into a zip; gives the paths that are missing. Raises TaskFault beyond `limit` bytes.

    `written` are the paths of all new and modified files and new folders. A file asked for by its name comes always; of a
    folder, or a pattern (`*`, `?`, `[…]`, and `**` for any number of folders), only those come that are written.
    """
    ordered = sorted(path.split("/") for path in written)
    patterns = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        packer = _Packer(archive, root, limit)
        missing = []
        for path in paths:
            parts = [part for part in path.split("/") if part not in ("", ".")]
            if ".." in parts or "\0" in path:
                missing.append(path)
            elif packer.exact(parts):
                if packer.is_folder:
                    packer.all(found for found in ordered if found[: len(parts)] == parts)
            else:
                patterns += 1
                if patterns > MAX_PATTERNS and _is_pattern(path):
                    raise TaskFault(f"artifacts: more than {MAX_PATTERNS} patterns")
                if not _is_pattern(path) or not packer.all(_matching(parts, ordered)):
                    missing.append(path)
    return missing


def missing_text(paths: list[str]) -> bytes:
    return "".join(f"wasimoff: artifact not found: {path}\n" for path in paths).encode("utf-8", "replace")


def _is_pattern(path: str) -> bool:
    return any(char in path for char in "*?[")


def _matching(pattern: list[str], paths: list[list[str]]) -> list[list[str]]:
    """Of sorted paths those that match, or are inside of a folder that does."""
    steps = [None if part == "**" else re.compile(translate(part)) for part in pattern]
    return [path for path in paths if _matches(steps, path)]


def _matches(steps: list[re.Pattern[str] | None], path: list[str]) -> bool:
    at = _skip(steps, {0})
    for part in path:
        if len(steps) in at:
            return True
        at = _skip(steps, {step if steps[step] is None else step + 1 for step in at if _fits(steps[step], part)})
    return len(steps) in at


def _skip(steps: list[re.Pattern[str] | None], at: set[int]) -> set[int]:
    """Where else one may be, as "**" may stand for nothing."""
    for step in range(len(steps)):
        if step in at and steps[step] is None:
            at.add(step + 1)
    return at


def _fits(step: re.Pattern[str] | None, part: str) -> bool:
    return step is None or step.match(part) is not None


def _is_noise(descriptor: int, size: int) -> bool:
    """Whether packing would make little of a large file, but take seconds."""
    if size < WORTH_A_LOOK:
        return False
    places = [(size - SAMPLE) * part // (SAMPLES - 1) for part in range(SAMPLES)]
    packed = sum(len(zlib.compress(os.pread(descriptor, SAMPLE, place), 1)) for place in places)
    return packed > 0.97 * SAMPLES * SAMPLE


class _Packer:
    def __init__(self, archive: zipfile.ZipFile, root: str, limit: int) -> None:
        self._archive = archive
        self._root = root
        self._limit = limit
        self._left = limit
        self._names: set[str] = set()
        self.is_folder = False
        """What was added last."""

    def exact(self, parts: list[str]) -> bool:
        """Add a file or a folder without its contents; False when there is none."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            return self._add(folder, parts[-1] if parts else ".", "/".join(parts))
        except OSError:
            return False
        finally:
            os.close(folder)

    def all(self, paths: Iterable[list[str]]) -> bool:
        """Add all; whether there was one."""
        found = False
        for parts in paths:
            found |= self.exact(parts)
        return found

    def _add(self, folder: int, name: str, path: str) -> bool:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        self.is_folder = stat.S_ISDIR(found.st_mode)
        if self.is_folder:
            if path and self._is_new(f"{path}/"):
                self._archive.writestr(zipfile.ZipInfo(f"{path}/", EPOCH), b"")
        elif stat.S_ISREG(found.st_mode):
            if self._is_new(path):
                self._file(folder, name, path, found.st_size)
        else:
            return False
        return True

    def _file(self, folder: int, name: str, path: str, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TaskFault(f"artifacts: files limit exceeded: more than {self._limit} bytes")
        entry = zipfile.ZipInfo(path, EPOCH)
        entry.external_attr = 0o100644 << 16
        entry.file_size = size
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        with open(descriptor, "rb") as file:
            entry.compress_type = zipfile.ZIP_STORED if _is_noise(descriptor, size) else zipfile.ZIP_DEFLATED
            with self._archive.open(entry, "w") as packed:
                while chunk := file.read(CHUNK):
                    packed.write(chunk)

    def _is_new(self, path: str) -> bool:
        new = path not in self._names
        self._names.add(path)
        return new
