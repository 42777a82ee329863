"""Archives, honest and hostile."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib


def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Paths that end with a slash are directories."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content, method)
    return buffer.getvalue()


def read_zip(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {entry.filename: opened.read(entry) for entry in opened.infolist()}


def with_name(name: bytes) -> bytes:
    """One stored file whose name is these bytes, which a tool would not write."""
    placeholder = "x" * len(name)
    return make_zip({placeholder: b"evil"}, zipfile.ZIP_STORED).replace(placeholder.encode(), name)


def with_symlink(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
        archive.writestr(f"{name}/passwd", b"evil")
    return buffer.getvalue()


def with_method(method: int) -> bytes:
    """A file that says it is packed with that method."""
    archive = bytearray(make_zip({"a": b"text"}, zipfile.ZIP_STORED))
    central = archive.index(b"PK\1\2")
    archive[8:10] = archive[central + 10 : central + 12] = method.to_bytes(2, "little")
    return bytes(archive)


def encrypted() -> bytes:
    archive = bytearray(make_zip({"a": b"text"}, zipfile.ZIP_STORED))
    central = archive.index(b"PK\1\2")
    archive[6] |= 1
    archive[central + 8] |= 1
    return bytes(archive)


def with_wrong_content() -> bytes:
    return make_zip({"a": b"honest content"}, zipfile.ZIP_STORED).replace(b"honest content", b"forged content")


def claiming(size: int) -> bytes:
    """A small file that says it has that size unpacked."""
    packed = zlib.compress(b"tiny", 6)[2:-4]
    archive = bytearray(make_zip({"a": b"tiny"}))
    central = archive.index(b"PK\1\2")
    assert packed in archive
    archive[22:26] = archive[central + 24 : central + 28] = size.to_bytes(4, "little")
    return bytes(archive)


def bomb(size: int) -> bytes:
    return make_zip({"zeros": bytes(size)})


def truncated() -> bytes:
    archive = make_zip({f"file{number}": bytes(100) for number in range(20)})
    return archive[:200] + archive[-22:]
