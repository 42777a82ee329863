"""What a program finds as "/": an empty folder, or an unpacked zip. Standard library only.

Nothing an archive says is believed: names may not lead out of it, sizes are bounded before and while it is unpacked.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from ..errors import TaskFault

MAX_ENTRIES = 65_534
MAX_DIRECTORY = 32 << 20
"""Bytes of an archive's directory: it is read as a whole."""
MAX_DEPTH = 256
MAX_RATIO = 1000
"""Deflate can't do better than 1032, and honest archives do worse than 200."""
RATIO_FREE = 16 << 20
"""The ratio is no matter below this size."""
CHUNK = 1 << 20

END = struct.Struct("<4s4H2LH")
SYMLINK, KIND = 0o120000, 0o170000
ENCRYPTED, UTF8 = 1, 0x800
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError, OverflowError)


def unpack(archive: bytes, folder: str, limit: int) -> int:
    """Unpack a zip into a new folder; gives the bytes of all its files.

    Raises TaskFault when it is not a zip, damaged, has more than `limit` bytes, or would write outside of itself.
    """
    _check_directory(archive)
    try:
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            entries = opened.infolist()
            size = _check_sizes(entries, len(archive), limit)
            os.mkdir(folder)
            for entry in entries:
                _extract(opened, entry, folder)
    except DAMAGE as error:
        raise TaskFault(f"rootfs: the zip archive is damaged: {str(error)[:200]}") from None
    return size


def _check_directory(archive: bytes) -> None:
    """Refuse, before it is parsed, a directory that would take much memory."""
    at = archive.rfind(b"PK\5\6", max(0, len(archive) - END.size - 0xFFFF))
    if at < 0 or at + END.size > len(archive):
        raise TaskFault("rootfs: not a zip archive")
    _, _, _, _, count, size, _, _ = END.unpack_from(archive, at)
    zip64 = archive[max(0, at - 20) : at].startswith(b"PK\6\7")
    if zip64 or count > MAX_ENTRIES or size > MAX_DIRECTORY:
        raise TaskFault(f"rootfs: a zip64 archive, or more than {MAX_ENTRIES} entries")


def _check_sizes(entries: list[zipfile.ZipInfo], packed: int, limit: int) -> int:
    if len(entries) > MAX_ENTRIES:
        raise TaskFault(f"rootfs: a zip64 archive, or more than {MAX_ENTRIES} entries")
    size = sum(entry.file_size for entry in entries)
    if size > limit:
        raise TaskFault(f"rootfs: files limit exceeded: {size} bytes unpacked, at most {limit}")
    if size > RATIO_FREE and size > MAX_RATIO * packed:
        raise TaskFault(f"rootfs: {packed} bytes would unpack to {size}: refused as a zip bomb")
    return size


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: str) -> None:
    name = _name(entry)
    if entry.create_system == 3 and (entry.external_attr >> 16) & KIND == SYMLINK:
        raise TaskFault(f'rootfs: "{name[:200]}" is a symbolic link, which is not supported')
    if entry.flag_bits & ENCRYPTED:
        raise TaskFault(f'rootfs: "{name[:200]}" is encrypted')
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = entry.compress_type
        raise TaskFault(f'rootfs: "{name[:200]}" is packed with method {method}; only stored and deflated entries are taken')
    path = os.path.join(folder, *_parts(name))
    try:
        os.makedirs(path if name.endswith("/") else os.path.dirname(path), exist_ok=True)
        if not name.endswith("/"):
            _write(opened, entry, path)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise TaskFault(f'rootfs: "{name[:200]}" is a file and a directory') from None
    except OSError as error:
        if error.errno is None or "too long" not in os.strerror(error.errno):
            raise
        raise TaskFault(f'rootfs: the name "{name[:200]}…" is too long') from None


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str) -> None:
    with opened.open(entry) as packed, open(path, "wb") as file:
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


def _parts(name: str) -> Iterator[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    drive = name[1:2] == ":" and name[:1].isascii() and name[:1].isalpha()
    if name.startswith("/") or "\\" in name or "\0" in name or drive or ".." in parts:
        raise TaskFault(f'rootfs: the entry "{name[:200]}" leads outside of the archive'.replace("\0", "\\0"))
    if len(parts) > MAX_DEPTH:
        raise TaskFault(f"rootfs: more than {MAX_DEPTH} directories inside each other")
    return iter(parts)
