"""Folders of untrusted files: unpacked, copied, packed, removed; any bytes are survived."""

from __future__ import annotations

import io
import os
import stat
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyodide_provider.errors import TaskFault
from pyodide_provider.native import trees
from pyodide_provider.native.artifacts import collect
from pyodide_provider.native.rootfs import END, END64, LOCATOR, MAX_ENTRIES
from pyodide_provider.native.rootfs import unpack as unpack_layers
from pyodide_provider.native.scratch import Scratch, sweep
from tests.contract import zips as z
from tests.contract.packings import Entry, assemble, zeros64

HONEST = z.make_zip({"a.txt": b"text" * 50, "b/": b"", "b/c": bytes(1000)})


def unpack(archive: bytes, folder: str, limit: int) -> int:
    return unpack_layers([("/", io.BytesIO(archive))], folder, limit)


def pack(root: Path, paths: tuple[str, ...], limit: int) -> tuple[bytes, list[str]]:
    """As if a run had written all that is there."""
    out = io.BytesIO()
    missing = collect(str(root), paths, [str(path.relative_to(root)) for path in everything(root)], limit, out)
    return out.getvalue(), missing


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_unpacked_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(HONEST)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    inside = tmp_path / "inside"
    with suppress(TaskFault):
        unpack(bytes(damaged), str(inside), 1 << 20)
    assert all(path == inside or inside in path.parents for path in everything(tmp_path))
    trees.remove(str(inside))
    assert everything(tmp_path) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blob=st.binary(max_size=200))
def test_any_bytes_are_no_archive(tmp_path: Path, blob: bytes) -> None:
    trees.remove(str(tmp_path / "folder"))
    with pytest.raises(TaskFault, match="rootfs: "):
        unpack(blob, str(tmp_path / "folder"), 1 << 20)


def test_as_many_entries_as_may_be(tmp_path: Path) -> None:
    few = z.make_zip({f"{number:x}/": b"" for number in range(100)}, 0)
    unpack(few, str(tmp_path / "few"), 1)
    assert len(os.listdir(tmp_path / "few")) == 100
    many = z.make_zip({f"{number:x}/": b"" for number in range(MAX_ENTRIES + 1)}, 0)
    with pytest.raises(TaskFault, match="more than 65534 entries"):
        unpack(many, str(tmp_path / "many"), 1)
    assert everything(tmp_path / "many") == []


def test_a_directory_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = bytearray(HONEST)
    end = archive.rindex(b"PK\5\6")
    archive[end + 12 : end + 16] = (40 << 20).to_bytes(4, "little")
    with pytest.raises(TaskFault, match="more than 65534 entries"):
        unpack(bytes(archive), str(tmp_path / "x"), 1 << 20)


def test_a_ratio_that_no_honest_archive_has(tmp_path: Path) -> None:
    with pytest.raises(TaskFault, match="refused as a zip bomb"):
        unpack(z.bomb(40 << 20), str(tmp_path / "x"), 1 << 30)
    size = 40 << 20
    with pytest.raises(TaskFault, match="refused as a zip bomb"):
        unpack(assemble([Entry("z", zeros64(size), size=size)]), str(tmp_path / "y"), 1 << 30)


def test_a_deflate64_bomb_that_lies_costs_no_memory(tmp_path: Path) -> None:
    """It would be 27 000 times as much, and says that it is 1000 bytes."""
    archive = assemble([Entry("z", zeros64(1 << 30), size=1000)])
    tracemalloc.start()
    try:
        with pytest.raises(TaskFault, match="an entry is longer than it says"):
            unpack(archive, str(tmp_path / "x"), 1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


def test_names_that_are_utf8_without_saying_so(tmp_path: Path) -> None:
    unpack(z.with_name("ünï".encode()), str(tmp_path / "x"), 100)
    assert os.listdir(tmp_path / "x") == ["ünï"]


def test_names_that_are_too_long_or_too_deep(tmp_path: Path) -> None:
    with pytest.raises(TaskFault, match="too long"):
        unpack(z.make_zip({"n" * 300: b""}), str(tmp_path / "x"), 100)
    with pytest.raises(TaskFault, match="directories inside each other"):
        unpack(z.make_zip({"d/" * 300: b""}), str(tmp_path / "y"), 100)


def test_links_that_stay_inside(tmp_path: Path) -> None:
    links = {"a": "d/file", "d/up": "../top", "d/e/here": ".", "dangling": "nowhere", "d/round/": "", "d/again": "../d/../d/e"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d/file", b"text")
        for name, target in links.items():
            archive.writestr(link(name) if target else zipfile.ZipInfo(name), target)
    unpack(buffer.getvalue(), str(tmp_path / "x"), 1000)
    made = {name: os.readlink(tmp_path / "x" / name) for name, target in links.items() if target}
    assert made == {name: target for name, target in links.items() if target}
    trees.copy(str(tmp_path / "x"), str(tmp_path / "y"))
    assert os.readlink(tmp_path / "y/d/up") == "../top"


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "target",
    ["/etc", "..", "../x", "d/../..", "./../../x", "", "a\\b", "x\0y", "x" * 5000, b"\xff\xfe"],
)
def test_links_that_lead_outside_or_nowhere(tmp_path: Path, target: str | bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link("evil"), target)
    with pytest.raises(TaskFault, match='rootfs: "evil" is a symbolic link that leads outside of the archive'):
        unpack(buffer.getvalue(), str(tmp_path / "x"), 10000)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    for order in ((link("d"), "d/file"), ("d/file", link("d"))):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("e/", b"")
            for entry in order:
                archive.writestr(entry, "e")
        with pytest.raises(TaskFault, match="is a file and a directory"):
            unpack(buffer.getvalue(), str(tmp_path / "x"), 1000)
        assert not (tmp_path / "x/e/file").exists()
        trees.remove(str(tmp_path / "x"))


def test_a_later_archive_covers_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    first = io.BytesIO()
    with zipfile.ZipFile(first, "w") as archive:
        archive.writestr("e/", b"")
        archive.writestr(link("d"), "e")
        archive.writestr(link("f"), "e")
    second = io.BytesIO(z.make_zip({"d/file": b"x", "f": b"a file"}))
    unpack_layers([("/", first), ("/", second)], str(tmp_path / "x"), 1000)
    assert (tmp_path / "x/d/file").read_bytes() == b"x"
    assert (tmp_path / "x/f").read_bytes() == b"a file"
    assert os.listdir(tmp_path / "x/e") == []


def test_an_archive_with_64_bit_sizes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"text")
    plain = buffer.getvalue()
    at = plain.rindex(b"PK\5\6")
    _, _, _, _, count, size, offset, _ = END.unpack_from(plain, at)
    end64 = END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    end = END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    unpack(plain[:at] + end64 + LOCATOR.pack(b"PK\6\7", 0, at, 1) + end, str(tmp_path / "x"), 100)
    assert (tmp_path / "x/a").read_bytes() == b"text"
    many = END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, size, offset)
    with pytest.raises(TaskFault, match="more than 65534 entries"):
        unpack(plain[:at] + many + LOCATOR.pack(b"PK\6\7", 0, at, 1) + end, str(tmp_path / "y"), 100)
    with pytest.raises(TaskFault, match="the end of its directory is not where it says"):
        unpack(plain[:at] + end64 + LOCATOR.pack(b"PK\6\7", 0, at + 1, 1) + end, str(tmp_path / "z"), 100)


def test_of_two_entries_of_a_name_the_later_counts(tmp_path: Path) -> None:
    archive = z.make_zip({"a": b"first", "b": b"second"}, 0).replace(b"b", b"a")
    unpack(archive, str(tmp_path / "x"), 100)
    assert (tmp_path / "x/a").read_bytes() == b"second"


def test_remove_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "a" / "b" / "up").symlink_to("..")
    trees.remove(str(folder))
    assert everything(tmp_path) == [outside, outside / "precious"]


def test_remove_gets_through_any_depth(tmp_path: Path) -> None:
    before = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(before)
    trees.remove(str(tmp_path / "d"))
    assert everything(tmp_path) == []


def test_copies_share_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    unpack(HONEST, str(source), 1 << 20)
    trees.copy(str(source), str(target))
    assert [path.relative_to(target) for path in everything(target)] == [p.relative_to(source) for p in everything(source)]
    (target / "a.txt").write_bytes(b"changed")
    assert (source / "a.txt").read_bytes() == b"text" * 50


class TestArtifacts:
    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        root.mkdir()
        (tmp_path / "secret").write_bytes(b"secret")
        (root / "file").symlink_to("../secret")
        (root / "folder").symlink_to("..")
        (root / "real").write_bytes(b"real")
        packed, missing = pack(root, ("file", "folder/secret", "folder", "/"), 100)
        assert z.read_zip(packed) == {"real": b"real"}
        assert missing == ["file", "folder/secret", "folder"]

    def test_too_much_is_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(bytes(60))
        (tmp_path / "b").write_bytes(bytes(60))
        assert z.read_zip(pack(tmp_path, ("a",), 100)[0]) == {"a": bytes(60)}
        with pytest.raises(TaskFault, match="artifacts: files limit exceeded: more than 100 bytes"):
            pack(tmp_path, ("/",), 100)

    def test_large_noise_is_not_packed_and_all_else_is(self, tmp_path: Path) -> None:
        size = 1 << 20
        files = {"noise": os.urandom(2 * size), "half": os.urandom(size) + bytes(size), "zeros": bytes(2 * size)}
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        packed, _ = pack(tmp_path, tuple(files), 6 * size)
        assert z.read_zip(packed) == files
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            methods = {entry.filename: entry.compress_type for entry in archive.infolist()}
        assert methods == {"noise": zipfile.ZIP_STORED, "half": zipfile.ZIP_DEFLATED, "zeros": zipfile.ZIP_DEFLATED}

    def test_of_folders_and_patterns_only_what_was_written_comes(self, tmp_path: Path) -> None:
        for path in ("old.txt", "d/old.txt", "d/new.txt", "d/e/new.txt", "d/e/new.bin", "new.txt", "x[1].txt"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(path.encode())
        written = ["d/new.txt", "d/e", "d/e/new.txt", "d/e/new.bin", "new.txt", "x[1].txt"]

        def names(*paths: str) -> tuple[list[str], list[str]]:
            out = io.BytesIO()
            missing = collect(str(tmp_path), paths, written, 1000, out)
            return list(z.read_zip(out.getvalue())), missing

        assert names("d") == (["d/", "d/e/", "d/e/new.bin", "d/e/new.txt", "d/new.txt"], [])
        assert names("old.txt", "d/old.txt") == (["old.txt", "d/old.txt"], []), "a file by its name comes always"
        assert names("*.txt") == (["new.txt", "x[1].txt"], [])
        assert names("x[1].txt") == (["x[1].txt"], []), "a name that looks like a pattern"
        assert names("**/*.txt") == (["d/e/new.txt", "d/new.txt", "new.txt", "x[1].txt"], [])
        assert names("d/**") == (["d/e/", "d/e/new.bin", "d/e/new.txt", "d/new.txt"], [])
        assert names("d/?") == (["d/e/", "d/e/new.bin", "d/e/new.txt"], []), "a folder that matches brings all below it"
        assert names("*.png", "old*", "../*", "**/../*") == ([], ["*.png", "old*", "../*", "**/../*"])

    def test_patterns_that_would_take_for_ever(self, tmp_path: Path) -> None:
        (tmp_path / ("a" * 200)).write_bytes(b"")
        (tmp_path / "/".join("d" * 100)).mkdir(parents=True)
        assert pack(tmp_path, ("*a" * 60 + "b", "**/" * 60 + "x"), 100)[1] == ["*a" * 60 + "b", "**/" * 60 + "x"]
        with pytest.raises(TaskFault, match="more than 100 patterns"):
            pack(tmp_path, ("*x",) * 101, 100)

    def test_what_is_asked_for_twice_comes_once(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "f").write_bytes(b"x")
        packed, _ = pack(tmp_path, ("d/f", "d", "/", "d/./f"), 100)
        with zipfile.ZipFile(io.BytesIO(packed)) as opened:
            assert sorted(opened.namelist()) == ["d/", "d/f"]

    def test_the_same_files_give_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = tmp_path / "1", tmp_path / "2"
        names = [f"{number:x}" * 3 for number in range(16)]
        for folder, order in ((first, names), (second, names[::-1])):
            folder.mkdir()
            for name in order:
                (folder / name).write_bytes(name.encode())
                os.utime(folder / name, (len(order), 12345))
        packed, _ = pack(first, ("/",), 100)
        assert packed == pack(second, ("/",), 100)[0]
        assert list(z.read_zip(packed)) == names


class TestScratch:
    def test_those_of_the_living_stay_and_those_of_the_dead_are_swept(self, tmp_path: Path) -> None:
        living, dead = Scratch(tmp_path), Scratch(tmp_path)
        (dead.path / "1" / "deep").mkdir(parents=True)
        os.close(dead._lock)
        sweep(tmp_path)
        assert living.path.exists()
        assert not dead.path.exists()
        living.remove()
        assert everything(tmp_path) == []
