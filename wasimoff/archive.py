"""Zips: a folder packed as a rootfs, artifacts unpacked without harm. Standard library only."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import ArchiveError, UsageError
from .kept import Kept

MAX_FILES = 100_000
MAX_BYTES = 4 * 2**30
"""What `extract` unpacks, at most."""
MAX_DIRECTORY = 32 * 2**20
"""Bytes of a zip's list of entries: all of it is read before anything else is known of it."""
CHUNK = 2**20
END, LOCATOR, END64 = struct.Struct("<4s8xL4xH"), struct.Struct("<4s4xQ4x"), struct.Struct("<4s36xQ8x")
"""The records at a zip's end (APPNOTE 4.3.14 to 4.3.16), and of what is in them the size of the list, or where the last is."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""One time for all entries, so that equal folders give equal bytes and are uploaded once."""


def pack(folder: Path, out: IO[bytes]) -> None:
    """Write a zip of a folder's files to `out`; links are followed to files, not to folders.

    Raises UsageError for what is neither file nor folder, and when something can't be read.
    """
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for path in _walk(folder):
                _add(archive, path, path.relative_to(folder).as_posix())
    except OSError as error:
        raise UsageError(f"can't pack {str(folder)!r}: {error.strerror or error} ({error.filename or 'zip'})") from None


def _walk(folder: Path) -> Iterator[Path]:
    """All files and folders below, in an order that depends on their names only."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted([*folders, *files]):
            yield Path(parent, name)


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        entry = zipfile.ZipInfo(f"{name}/", EPOCH)
        entry.external_attr = (stat.S_IFDIR | 0o755) << 16 | 0x10
        archive.writestr(entry, b"")
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"can't pack {str(path)!r}: it is neither a file nor a folder")
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | (0o755 if mode & 0o111 else 0o644)) << 16
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, CHUNK)


def extract(blob: bytes | Kept, folder: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Unpack a zip into a folder; gives the files written.

    Raises ArchiveError, before anything is written where that can be known, for names that lead out of the folder,
    links, doubled names, too many files, and when more than `max_bytes` come out of it.
    """
    try:
        with blob.open() if isinstance(blob, Kept) else io.BytesIO(blob) as file, _opened(file) as archive:
            entries = archive.infolist()
            if len(entries) > max_files:
                raise ArchiveError(f"the zip has {len(entries)} entries, at most {max_files} are unpacked")
            targets = _targets(entries, folder)
            return _write(archive, targets, max_bytes)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ArchiveError(f"the zip can't be read: {error}") from None
    except OSError as error:
        raise ArchiveError(f"can't unpack to {str(folder)!r}: {error.strerror or error}") from None


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    """Raises ArchiveError for one whose list of entries would take much memory."""
    size = file.seek(0, io.SEEK_END)
    begin = max(0, size - END.size - 0xFFFF - LOCATOR.size - END64.size)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + END.size > len(tail):
        raise zipfile.BadZipFile("File is not a zip file")
    listed = END.unpack_from(tail, at)[1]
    locator = at - LOCATOR.size
    if locator >= 0 and tail.startswith(b"PK\6\7", locator):
        end64 = locator - END64.size
        # Where it says that it is, and where zipfile looks for it.
        if end64 < 0 or LOCATOR.unpack_from(tail, locator)[1] != begin + end64 or not tail.startswith(b"PK\6\6", end64):
            raise zipfile.BadZipFile("the end of its directory is not where it says")
        listed = END64.unpack_from(tail, end64)[1]
    if listed > MAX_DIRECTORY:
        raise ArchiveError(f"the zip's list of entries has {listed} bytes, at most {MAX_DIRECTORY} are read")
    return zipfile.ZipFile(file)


def _targets(entries: list[zipfile.ZipInfo], folder: Path) -> dict[Path, zipfile.ZipInfo]:
    """Where each entry goes; every name is checked before the first is written."""
    root = folder.resolve()
    targets: dict[Path, zipfile.ZipInfo] = {}
    for entry in entries:
        name = PurePosixPath(entry.filename)
        parts = name.parts
        if name.is_absolute() or not parts or ".." in parts or any(c in entry.filename for c in "\\:\0"):
            raise ArchiveError(f"the zip has an entry {entry.filename[:200]!r}, which can't be unpacked safely")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"the zip's entry {entry.filename[:200]!r} is neither a file nor a folder")
        target = folder.joinpath(*parts)
        if not target.resolve().is_relative_to(root):
            raise ArchiveError(f"the zip's entry {entry.filename[:200]!r} leads out of {str(folder)!r} by a link")
        if target in targets:
            raise ArchiveError(f"the zip has the entry {entry.filename[:200]!r} twice")
        targets[target] = entry
    return targets


def _write(archive: zipfile.ZipFile, targets: dict[Path, zipfile.ZipInfo], max_bytes: int) -> list[Path]:
    left = max_bytes
    written: list[Path] = []
    for target, entry in targets.items():
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as out:
            while chunk := source.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise ArchiveError(f"more than {max_bytes} bytes come out of the zip: unpacking stopped")
                out.write(chunk)
        written.append(target)
    return written
