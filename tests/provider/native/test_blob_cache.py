"""The cache on disk: whole files, right digests, bounded, ours alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pyodide_provider.errors import UsageError
from pyodide_provider.native import blob_cache
from pyodide_provider.native.blob_cache import BlobCache, ref_of


def fill(cache: BlobCache, count: int, size: int) -> list[str]:
    refs = []
    for number in range(count):
        blob = bytes([number]) * size
        refs.append(cache.put(blob))
        os.utime(cache.folder / "blobs" / refs[-1][7:], (number, number))
    return refs


def test_what_is_put_is_there(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "deep" / "cache")
    ref = cache.put(b"blob", "application/wasm")
    assert ref == ref_of(b"blob")
    assert cache.has(ref)
    assert cache.get(ref) == b"blob"
    assert cache.refs() == [ref]
    assert not cache.has(ref_of(b"other"))
    assert cache.get(ref_of(b"other")) is None


@pytest.mark.parametrize("ref", ["", "sha256:", "sha256:../../etc/passwd", "../x", "tsp.wasm", "/etc/passwd"])
def test_odd_refs_are_just_not_there(tmp_path: Path, ref: str) -> None:
    cache = BlobCache(tmp_path)
    assert not cache.has(ref)
    assert cache.get(ref) is None


def test_the_folder_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    BlobCache(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to another user"):
        BlobCache(tmp_path)


def test_a_folder_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"can't be used: .*--cache"):
        BlobCache(tmp_path / "file" / "cache")


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, limit=5000)
    refs = fill(cache, 4, 1000)
    assert cache.get(refs[0]) is not None, "used now"
    fifth = cache.put(b"\xff" * 2000)
    assert set(cache.refs()) == {refs[0], refs[2], refs[3], fifth}
    assert cache.refs()[0] == fifth


def test_one_that_is_larger_than_all_is_kept_until_the_next(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, limit=100)
    ref = cache.put(bytes(1000))
    assert cache.get(ref) is not None
    assert cache.refs() == [ref]


def test_modules_count_too(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, limit=2500)
    refs = fill(cache, 2, 1000)
    cache.put_module("engine", refs[0], 7, bytes(1000))
    assert cache.refs() == [refs[1]]
    assert cache.get_module("engine", refs[0]) == (7, bytes(1000))
    assert cache.get_module("other", refs[0]) is None


def test_the_listing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_cache, "MAX_REFS", 2)
    cache = BlobCache(tmp_path)
    refs = fill(cache, 4, 10)
    assert cache.refs() == [refs[3], refs[2]]


def test_a_blob_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_cache, "MAX_BLOB", 10)
    with pytest.raises(UsageError, match="11 bytes is too large to keep, at most 10"):
        BlobCache(tmp_path).put(bytes(11))


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def break_off() -> None:
        with BlobCache(tmp_path).adding(ref_of(b"blob")) as path:
            path.write_bytes(b"bl")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert list((tmp_path / "blobs").iterdir()) == []


def test_what_killed_ones_left_is_tidied_when_it_is_old(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    old, new = tmp_path / "blobs" / ".old", tmp_path / "blobs" / ".new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache.tidy()
    assert not old.exists()
    assert new.exists()
    assert cache.refs() == []


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    cache, order = BlobCache(tmp_path), []
    ref = ref_of(b"x")
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with cache.lock("fetch", ref):
            order.append("second")

    with cache.lock("fetch", ref), cache.lock("compile", ref):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
