"""The folder that runs share one after the other: all that one does to it is found, and undone."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyodide_provider.core.run import Limits
from pyodide_provider.errors import TaskFault
from pyodide_provider.native import trees
from pyodide_provider.native.limits import COUNT_EXIT, FILES_EXIT
from pyodide_provider.native.rootfs import unpack
from pyodide_provider.native.tree import NOTHING, Tree
from tests.contract import zips as z

FILES = {"a": b"first", "d/": b"", "d/b": b"second", "d/e/": b"", "d/e/c": b"third", "x/y/z": b"fourth"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    template, path = str(tmp_path / "template"), str(tmp_path / "tree")
    unpack([("/", io.BytesIO(z.make_zip(FILES)))], template, 1000)
    os.symlink("d/b", f"{template}/link")
    trees.copy(template, path)
    made = Tree(path, template)
    made.settle()
    return made


def state(folder: str) -> list[tuple[object, ...]]:
    """All that a program could see of a folder."""

    def all_of(path: Path) -> Iterator[tuple[object, ...]]:
        for each in [path, *sorted(path.rglob("*"))]:
            found = each.lstat()
            content = os.readlink(each) if each.is_symlink() else each.read_bytes() if each.is_file() else None
            # Of files the time is that of their unpacking, and kept; of folders too.
            yield str(each.relative_to(path)), found.st_mode, found.st_nlink, found.st_mtime_ns, content

    return list(all_of(Path(folder)))


def in_place(root: Path) -> None:
    with (root / "d/b").open("r+b") as file:
        file.write(b"SECOND")


def in_place_with_its_time(root: Path) -> None:
    before = (root / "d/b").stat()
    in_place(root)
    os.utime(root / "d/b", ns=(before.st_atime_ns, before.st_mtime_ns))


def through_a_link(root: Path) -> None:
    os.link(root / "d/b", root / "other")
    (root / "other").write_bytes(b"SECOND")
    os.unlink(root / "other")


def away_and_back(root: Path) -> None:
    os.rename(root / "d", root / "elsewhere")
    (root / "elsewhere/b").write_bytes(b"changed")
    os.rename(root / "elsewhere", root / "d")


def link_outside(root: Path) -> None:
    shutil.rmtree(root / "d")
    (root.parent / "outside").mkdir(exist_ok=True)
    (root.parent / "outside" / "precious").write_bytes(b"x")
    os.symlink("../outside", root / "d")


def file_for_folder(root: Path) -> None:
    shutil.rmtree(root / "d")
    (root / "d").write_bytes(b"a file now")


def folder_for_file(root: Path) -> None:
    os.unlink(root / "a")
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/file").write_bytes(b"x")


def gone_with_its_time(root: Path) -> None:
    before = (root / "d/e").stat()
    os.unlink(root / "d/e/c")
    os.utime(root / "d/e", ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], set[str], int]] = {
    "a new file": (lambda root: (root / "new").write_bytes(b"12345"), {"new"}, 5),
    "a new folder": (lambda root: (root / "d/n/m").mkdir(parents=True), {"d/n", "d/n/m"}, 0),
    "written in place, as long as before": (in_place, {"d/b"}, 6),
    "and its time set back": (in_place_with_its_time, {"d/b"}, 6),
    "appended to": (lambda root: (root / "x/y/z").write_bytes(b"fourth!"), {"x/y/z"}, 7),
    "emptied": (lambda root: os.truncate(root / "a", 0), {"a"}, 0),
    "another time": (lambda root: os.utime(root / "a", (1, 1)), {"a"}, 5),
    "a folder's time": (lambda root: os.utime(root / "d/e", (1, 1)), set(), 0),
    "the root's time": (lambda root: os.utime(root, (1, 1)), set(), 0),
    "a file is gone": (lambda root: os.unlink(root / "d/e/c"), set(), 0),
    "a file is gone, and no time tells": (gone_with_its_time, set(), 0),
    "all is gone": (lambda root: [shutil.rmtree(root / "d"), shutil.rmtree(root / "x"), os.unlink(root / "a")], set(), 0),
    "renamed": (lambda root: os.rename(root / "d", root / "D"), {"D", "D/b", "D/e", "D/e/c"}, 11),
    "renamed over another": (lambda root: os.replace(root / "a", root / "d/b"), {"d/b"}, 5),
    "a file for a folder": (file_for_folder, {"d"}, 10),
    "a folder for a file": (folder_for_file, {"a", "a/b", "a/b/c", "a/b/c/file"}, 1),
    "a link for a folder": (link_outside, {"d"}, 10),
    "a link that leads elsewhere": (lambda root: [os.unlink(root / "link"), os.symlink("a", root / "link")], {"link"}, 1),
    "written through a link of its own": (through_a_link, {"d/b"}, 6),
    "changed elsewhere and put back": (away_and_back, {"d/b"}, 7),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_run_does_is_found_and_undone(tree: Tree, name: str) -> None:
    change, written, size = CHANGES[name]
    before = state(tree.path)
    for _ in range(2):
        assert tree.changes() is NOTHING
        change(Path(tree.path))
        changes = tree.changes()
        assert changes is not NOTHING
        assert (changes.written, changes.size) == (written, size)
        tree.undo()
        assert state(tree.path) == before
        tree.settle()
    outside = Path(tree.path).parent / "outside/precious"
    assert not outside.parent.exists() or outside.read_bytes() == b"x"


def test_a_write_at_once_after_it_was_made_is_found(tmp_path: Path) -> None:
    for number in range(30):
        template, path = str(tmp_path / f"{number}t"), str(tmp_path / f"{number}")
        unpack([("/", io.BytesIO(z.make_zip({"a": b"first"})))], template, 1000)
        trees.copy(template, path)
        tree = Tree(path, template)
        before = os.stat(f"{path}/a").st_mtime_ns
        tree.settle()
        Path(f"{path}/a").write_bytes(b"FIRST")
        os.utime(f"{path}/a", ns=(before, before))
        assert tree.changes().written == {"a"}


def test_a_run_waits_until_its_writes_will_be_told_apart(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer kernels stamp finely enough never to need it."""
    tree.undo()
    newest = max(path.lstat().st_ctime_ns for path in Path(tree.path).rglob("*") if not path.is_dir())
    ticks = [newest - 1, newest, newest, newest + 1, newest + 2]
    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: ticks.pop(0))
    tree.settle()
    assert ticks == [newest + 2]
    tree.settle()
    assert ticks == [newest + 2], "once is enough"


class TestEmpty:
    def test_it_is_empty_again(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        tree = Tree(str(tmp_path / "tree"))
        for number in range(50):
            tree.settle()
            assert tree.changes() is NOTHING
            (tmp_path / "tree" / str(number)).mkdir()
            assert tree.changes().written == {str(number)}
            tree.undo()
            assert os.listdir(tree.path) == []

    def test_a_file_that_came_and_went_leaves_no_time(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        tree = Tree(str(tmp_path / "tree"))
        before = state(tree.path)
        os.utime(tree.path, (5, 5))
        assert tree.changes() is not NOTHING
        tree.undo()
        assert state(tree.path) == before


class TestTooMuch:
    def test_many_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyodide_provider.native.tree.MAX_WRITTEN", 1000)
        (tmp_path / "tree").mkdir()
        tree = Tree(str(tmp_path / "tree"))
        tree.settle()
        first = tmp_path / "tree" / "0"
        first.mkdir()
        for number in range(1000):
            os.mknod(first / str(number))
        assert tree.over(Limits(files=1)) == COUNT_EXIT
        with pytest.raises(TaskFault, match="files limit exceeded: more than 65536 new files"):
            tree.changes()
        os.unlink(first / "0")
        assert len(tree.changes().written) == 1000
        tree.undo()
        assert os.listdir(tree.path) == []

    def test_folders_inside_each_other(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        tree = Tree(str(tmp_path / "tree"))
        (tmp_path / "tree" / "/".join("d" * 257)).mkdir(parents=True)
        with pytest.raises(TaskFault, match="or 256 folders inside each other"):
            tree.changes()
        tree.undo()
        assert tree.changes() is NOTHING or os.listdir(tree.path) == []

    def test_files_without_a_name_count(self, tree: Tree) -> None:
        path = Path(tree.path) / "gone"
        with path.open("wb") as file:
            path.unlink()
            file.write(bytes(1000))
            file.flush()
            assert tree.over(Limits(files=999)) == FILES_EXIT
            assert tree.over(Limits(files=1000)) == 0
