"""Unpacks zip archives into the folder that programs find as "/".

Nothing an archive says is believed: names may not lead out of it, sizes are bounded before and while it is unpacked.
"""

from __future__ import annotations

import os
import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, BinaryIO

from ..errors import TaskFault
from .deflate64 import METHOD as METHOD_64
from .deflate64 import Deflate64
from .limits import MAX_DEPTH
from .trees import remove

MAX_ENTRIES = 65_534
MAX_DIRECTORY = 32 << 20
"""Bytes of an archive's directory: it is read as a whole."""
MAX_RATIO = 1000
"""Deflate can't do better than 1032 (Deflate64 can), and honest archives do worse than 200."""
RATIO_FREE = 16 << 20
"""The ratio is no matter below this size."""
MAX_TARGET = 4096
"""Bytes of where a symbolic link leads."""
CHUNK = 1 << 20

END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
KIND = 0o170000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, METHOD_64)
ENCRYPTED, UTF8 = 1, 0x800
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError, OverflowError)


def unpack(layers: Iterable[tuple[str, BinaryIO]], folder: str, limit: int) -> int:
    """Unpack zips, each at an absolute path, into a new folder; later ones cover earlier ones. Gives the bytes of all files.

    Raises TaskFault when one is not a zip, damaged, would write outside of itself, or all have more than `limit` bytes.
    """
    os.mkdir(folder)
    size = 0
    for mount, archive in layers:
        layer = _Layer(folder, mount)
        try:
            size += layer.unpack(archive, limit, size)
        except DAMAGE as error:
            raise layer.fault(f"the zip archive is damaged: {str(error)[:200]}") from None
    return size


class _Layer:
    """One archive on its way into a folder, which others may have been unpacked to before."""

    def __init__(self, folder: str, mount: str) -> None:
        self._folder = folder
        self._what = "rootfs" if mount == "/" else f"root at {mount[:200]}"
        self._mount = [part for part in mount.split("/") if part]
        self._folders: set[str] = set()
        self._others: set[str] = set()
        """Files and links."""

    def fault(self, text: str) -> TaskFault:
        return TaskFault(f"{self._what}: {text}")

    def unpack(self, archive: BinaryIO, limit: int, before: int) -> int:
        packed = self._check_directory(archive)
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            size = self._check_sizes(entries, packed, limit, before)
            self._make_folder(self._mount)
            for entry in entries:
                self._extract(opened, entry)
        return size

    def _check_directory(self, archive: BinaryIO) -> int:
        """Refuse, before it is parsed, a directory that would take much memory. Gives the size of the archive."""
        packed = archive.seek(0, os.SEEK_END)
        begin = max(0, packed - END.size - 0xFFFF - LOCATOR.size - END64.size)
        archive.seek(begin)
        tail = archive.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or at + END.size > len(tail):
            raise self.fault("not a zip archive")
        _, _, _, _, count, size, _, _ = END.unpack_from(tail, at)
        locator = at - LOCATOR.size
        if locator >= 0 and tail.startswith(b"PK\6\7", locator):
            end64 = locator - END64.size
            # Where it says that it is, and where zipfile looks for it.
            if end64 < 0 or LOCATOR.unpack_from(tail, locator)[2] != begin + end64 or not tail.startswith(b"PK\6\6", end64):
                raise self.fault("the zip archive is damaged: the end of its directory is not where it says")
            count, size = END64.unpack_from(tail, end64)[7:9]
        self._check_count(count, size)
        return packed

    def _check_count(self, count: int, size: int = 0) -> None:
        if count > MAX_ENTRIES or size > MAX_DIRECTORY:
            raise self.fault(f"more than {MAX_ENTRIES} entries, or {MAX_DIRECTORY >> 20} MiB of names")

    def _check_sizes(self, entries: list[zipfile.ZipInfo], packed: int, limit: int, before: int) -> int:
        self._check_count(len(entries))
        size = sum(entry.file_size for entry in entries)
        if before + size > limit:
            raise self.fault(f"files limit exceeded: {before + size} bytes unpacked, at most {limit}")
        if size > RATIO_FREE and size > MAX_RATIO * packed:
            raise self.fault(f"{packed} bytes would unpack to {size}: refused as a zip bomb")
        return size

    def _extract(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        name = _name(entry)
        parts = self._parts(name)
        shown = name[:200]
        if entry.flag_bits & ENCRYPTED:
            raise self.fault(f'"{shown}" is encrypted')
        if entry.compress_type not in METHODS:
            raise self.fault(
                f'"{shown}" is packed with method {entry.compress_type}; only stored and deflated entries are taken'
            )
        try:
            if name.endswith("/") or not parts:
                self._make_folder(self._mount + parts)
                return
            self._make_folder(self._mount + parts[:-1])
            if entry.create_system == 3 and (entry.external_attr >> 16) & KIND == stat.S_IFLNK:
                self._link(opened, entry, name, parts)
            else:
                _write(opened, entry, self._place(self._mount + parts))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise self.fault(f'"{shown}" is a file and a directory') from None
        except OSError as error:
            if error.errno is None or "too long" not in os.strerror(error.errno):
                raise
            raise self.fault(f'the name "{shown}…" is too long') from None

    def _make_folder(self, parts: list[str]) -> None:
        path = self._folder
        for part in parts:
            path = f"{path}/{part}"
            if path in self._folders:
                continue
            if path in self._others:
                # No entry leads through a link, either.
                raise NotADirectoryError
            try:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    os.unlink(path)
                    os.mkdir(path)
            except FileNotFoundError:
                os.mkdir(path)
            self._folders.add(path)

    def _place(self, parts: list[str]) -> str:
        """The path of a file or a link of this archive; whatever an earlier one has there is covered."""
        path = "/".join([self._folder, *parts])
        if path in self._folders:
            raise IsADirectoryError
        if path not in self._others:
            self._others.add(path)
            try:
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    remove(path)
                else:
                    os.unlink(path)
            except FileNotFoundError:
                pass
        else:
            # Of two entries of the same name the later counts.
            os.unlink(path)
        return path

    def _link(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, parts: list[str]) -> None:
        with _open(opened, entry) as packed:
            raw = packed.read(MAX_TARGET + 1)
        try:
            target = raw.decode()
        except UnicodeDecodeError:
            target = ""
        leads = posixpath.normpath("/".join([*parts[:-1], target]))
        inside = target and not target.startswith("/") and leads != ".." and not leads.startswith("../")
        if not inside or len(raw) > MAX_TARGET or "\\" in target or "\0" in target:
            raise self.fault(f'"{name[:200]}" is a symbolic link that leads outside of the archive'.replace("\0", "\\0"))
        os.symlink(target, self._place(self._mount + parts))

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        drive = name[1:2] == ":" and name[:1].isascii() and name[:1].isalpha()
        if name.startswith("/") or "\\" in name or "\0" in name or drive or ".." in parts:
            raise self.fault(f'the entry "{name[:200]}" leads outside of the archive'.replace("\0", "\\0"))
        if len(parts) + len(self._mount) > MAX_DEPTH:
            raise self.fault(f"more than {MAX_DEPTH} directories inside each other")
        return parts


def _open(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes] | Deflate64:
    if entry.compress_type != METHOD_64:
        return opened.open(entry)
    assert opened.fp is not None
    return Deflate64(opened.fp, entry)


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str) -> None:
    with _open(opened, entry) as packed, open(path, "xb") as file:
        left = entry.file_size
        while chunk := packed.read(CHUNK):
            left -= len(chunk)
            file.write(chunk)
    if left:
        raise zipfile.BadZipFile(f"{entry.filename[:100]!r} is not as long as it says")


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: many tools write UTF-8 and do not say so."""
    name = entry.orig_filename
    if entry.flag_bits & UTF8:
        return name
    raw = name.encode("cp437")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
