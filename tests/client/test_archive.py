"""Artifacts come from strangers: nothing may be written outside, nothing may fill the disk."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasimoff import ArchiveError, Result, UsageError
from wasimoff.archive import extract, pack


def zipped(*entries: tuple[str, bytes], mode: int = 0) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            if mode:
                info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def test_artifacts_are_unpacked(tmp_path: Path) -> None:
    blob = zipped(("out/a.txt", b"a"), ("b.bin", b"\0"), ("folder/", b""))
    written = Result(0, archive=blob).extract(tmp_path / "here")
    assert [path.relative_to(tmp_path).as_posix() for path in written] == ["here/out/a.txt", "here/b.bin"]
    assert (tmp_path / "here/out/a.txt").read_bytes() == b"a"
    assert (tmp_path / "here/folder").is_dir()
    assert Result(0).extract(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a\\..\\x", "C:x", "..", "a/..", "\\\\host\\x", ""])
def test_names_that_lead_out_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    with pytest.raises(ArchiveError):
        extract(zipped(("good", b"1"), (name, b"2")), folder)
    assert not folder.exists()
    assert not (tmp_path / "x").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        extract(zipped(("link", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777), tmp_path / "in")


def test_a_link_that_is_there_already_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "way").symlink_to(tmp_path)
    with pytest.raises(ArchiveError, match="by a link"):
        extract(zipped(("way/x", b"1")), tmp_path / "in")


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    blob = zipped(("zeros", bytes(50_000_000)))
    assert len(blob) < 100_000
    with pytest.raises(ArchiveError, match="more than 1000000 bytes"):
        extract(blob, tmp_path / "in", max_bytes=1_000_000)
    assert (tmp_path / "in" / "zeros").stat().st_size <= 1_000_000
    extract(zipped(("exact", bytes(1_000_000))), tmp_path / "in", max_bytes=1_000_000)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    blob = zipped(*((str(n), b"") for n in range(20)))
    with pytest.raises(ArchiveError, match="20 entries"):
        extract(blob, tmp_path / "in", max_files=19)


@pytest.mark.parametrize("large", [False, True])
def test_a_list_of_entries_without_end_is_refused_before_it_is_read(tmp_path: Path, large: bool) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = entry * 1_000_000
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, len(listed), 0)
    end64 += struct.pack("<4sLQL", b"PK\6\7", 0, len(listed), 1)
    size = 0xFFFFFFFF if large else len(listed)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, size, 0, 0)
    with pytest.raises(ArchiveError, match="the zip's list of entries has 47000000 bytes, at most 33554432 are read"):
        extract(listed + (end64 if large else b"") + end, tmp_path / "out")


def test_a_zip_of_many_entries_is_read(tmp_path: Path) -> None:
    many = BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"{number}", b"")
    assert b"PK\6\7" in many.getvalue()
    with pytest.raises(ArchiveError, match="the zip has 66000 entries, at most 1000 are unpacked"):
        extract(many.getvalue(), tmp_path / "out", max_files=1000)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        blob = zipped(("a", b"1"), ("a", b"2"))
    with pytest.raises(ArchiveError, match="twice"):
        extract(blob, tmp_path / "in")


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        extract(zipped(("a", b"1"), ("a/b", b"2")), tmp_path / "in")


GOOD = zipped(("a.txt", b"hello" * 100), ("b/c.txt", b"world" * 100))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_damage_is_an_archive_error_or_nothing(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    blob = bytearray(GOOD)
    blob[at] = value
    folder = tmp_path_factory.mktemp("damage")
    with suppress(ArchiveError):
        extract(bytes(blob), folder / "in")
    assert {path.name for path in folder.iterdir()} <= {"in"}


@given(st.binary(max_size=200))
def test_any_bytes_are_an_archive_error(tmp_path_factory: pytest.TempPathFactory, blob: bytes) -> None:
    with pytest.raises(ArchiveError):
        extract(blob, tmp_path_factory.mktemp("bytes"))


def test_a_pipe_in_a_folder_does_not_hang_packing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        pack(tmp_path, BytesIO())


def test_a_dangling_link_in_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="can't pack"):
        pack(tmp_path, BytesIO())
