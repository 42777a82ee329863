"""Blobs through broken uploads, restarts, killed processes and full disks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.blobs import Blob, Blobs
from broker.errors import Refused, StorageFull, UsageError
from broker.settings import Settings
from broker.store.disk import DiskStore
from tests.broker.samples import KIB, WASM, content, files, pieces, ref_of, wasm


@pytest.fixture
def on_disk(tmp_path: Path) -> Settings:
    return Settings(filestorage=tmp_path / "data", max_upload=64 * KIB, storage_limit=256 * KIB)


# Interrupted


async def test_an_upload_that_breaks_off_leaves_nothing(on_disk: Settings):
    blobs = await Blobs.open(on_disk)

    async def broken() -> AsyncIterator[bytes]:
        yield wasm(10 * KIB)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await blobs.receive(broken())
    await blobs.close()
    assert files(on_disk.filestorage / "incoming") == files(on_disk.filestorage / "blobs") == []


async def test_an_upload_cancelled_while_it_is_written_leaves_nothing(tmp_path: Path):
    settings = Settings(filestorage=tmp_path, max_upload=2**26)
    blobs = await Blobs.open(settings)
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield WASM
        for _ in range(60):
            yield bytes(2**20)
            started.set()
        await asyncio.Event().wait()

    for delay in (0, 0.001, 0.005, 0.02):
        started.clear()
        upload = asyncio.create_task(blobs.receive(endless()))
        await started.wait()
        await asyncio.sleep(delay)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    assert blobs._arriving == 0
    await blobs.close()
    assert files(tmp_path / "incoming") == files(tmp_path / "blobs") == []


async def test_close_waits_for_what_is_being_kept(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    upload = asyncio.create_task(blobs.receive(pieces(wasm(60 * KIB)), "app"))
    async with asyncio.timeout(10):
        while not blobs._commits:  # noqa: ASYNC110 - looked at from outside, no event to wait for
            await asyncio.sleep(0)
    upload.cancel()
    await blobs.close()
    again = await Blobs.open(on_disk)
    assert again.resolve("app") == ref_of(wasm(60 * KIB))
    await again.close()


async def test_a_refused_upload_leaves_nothing(on_disk: Settings):
    blobs = await Blobs.open(on_disk, max_names=4)
    for n in range(4):
        await blobs.put(wasm(60 * KIB, n), name=f"app{n}")
    with pytest.raises(StorageFull):
        await blobs.receive(pieces(wasm(60 * KIB, "new")))
    with pytest.raises(Refused, match="names already"):
        await blobs.receive(pieces(wasm(100)), "app5")
    await blobs.close()
    assert files(on_disk.filestorage / "incoming") == []
    assert len(files(on_disk.filestorage / "blobs")) == 4


def test_what_is_written_after_a_discard_makes_no_file(tmp_path: Path):
    store = DiskStore(tmp_path)
    store.open()
    for incoming in (store.incoming(), store.incoming()):
        incoming.discard()
        incoming.write(WASM)
    incoming = store.incoming()
    incoming.write(WASM)
    incoming.discard()
    incoming.write(WASM)
    assert files(tmp_path / "incoming") == []
    store.close()


def test_a_file_that_the_index_does_not_take_is_not_kept(tmp_path: Path):
    store = DiskStore(tmp_path)
    store.open()
    incoming = store.incoming()
    incoming.write(WASM)
    ref = incoming.finish()
    store.close()
    with pytest.raises(sqlite3.Error):
        store.keep(incoming, Blob(ref, "application/wasm", len(WASM), 0), "app", 0)
    assert files(tmp_path / "blobs") == []


# Restarts


async def test_blobs_names_and_last_uses_survive_a_restart(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    kept = [await blobs.put(wasm(50 * KIB, n), name="app" if n == 2 else None) for n in range(4)]
    await asyncio.sleep(0.002)
    assert blobs.resolve(kept[0].ref)
    await blobs.close()

    again = await Blobs.open(on_disk, keep_seconds=0)
    assert [again.blob(ref) for ref in (kept[0].ref, kept[2].ref)] == [kept[0], kept[2]]
    assert again.resolve("app") == kept[2].ref
    assert again.held_bytes == 200 * KIB
    await again.close()

    third = await Blobs.open(on_disk, keep_seconds=0)
    await third.put(wasm(60 * KIB, "new"))
    assert [blob.ref in third._catalogue for blob in kept] == [True, False, True, True]
    await third.close()


async def test_leftovers_of_a_crash_are_cleared(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    kept = await blobs.put(wasm(100), name="app")
    await blobs.close()
    data = on_disk.filestorage
    (data / "incoming" / "tmpabc").write_bytes(b"half")
    orphan, stray = wasm(200, "orphan"), data / "blobs" / "README"
    place = data / "blobs" / ref_of(orphan)[7:9] / ref_of(orphan)[9:]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(orphan)
    garbage = data / "blobs" / "00" / ("1" * 62)
    garbage.parent.mkdir(exist_ok=True)
    garbage.write_bytes(b"")
    stray.write_text("not ours")

    again = await Blobs.open(on_disk)
    assert files(data / "incoming") == []
    assert again.resolve("app") == kept.ref
    assert content(again.blob(ref_of(orphan))) == orphan, "killed between the file and its row: it is taken up again"
    assert stray.exists()
    assert not garbage.exists()
    assert len(again) == 2
    await again.close()


async def test_files_that_are_gone_or_cut_are_forgotten(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    gone, cut, kept = [await blobs.put(wasm(100, n), name=f"app{n}") for n in range(3)]
    await blobs.close()
    gone.path.unlink()
    cut.path.write_bytes(WASM)

    again = await Blobs.open(on_disk)
    assert [again.resolve(name) for name in ("app0", "app1", "app2")] == [None, None, kept.ref]
    assert await again.put(wasm(100, 1), name="app1") == replace(cut, created=again.blob(cut.ref).created)
    assert content(again.blob(cut.ref)) == wasm(100, 1)
    await again.close()


async def test_a_damaged_file_is_healed_by_an_upload(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    blob = await blobs.put(wasm(100))
    blob.path.write_bytes(bytes(100))
    await blobs.receive(pieces(wasm(100)))
    assert content(blob) == wasm(100)
    await blobs.close()


async def test_a_lost_index_costs_the_names_only(on_disk: Settings):
    blobs = await Blobs.open(on_disk)
    kept = [await blobs.put(wasm(100, n), name=f"app{n}") for n in range(5)]
    await blobs.close()
    index = on_disk.filestorage / "blobs.sqlite"
    index.write_bytes(b"not a database" * 1000)
    with pytest.raises(UsageError, match=r"blobs\.sqlite can't be read .* move it away"):
        await Blobs.open(on_disk)
    index.unlink()
    again = await Blobs.open(on_disk)
    assert all(content(again.blob(blob.ref)) == content(blob) for blob in kept)
    assert again.resolve("app0") is None
    await again.close()


async def test_one_broker_at_a_time(on_disk: Settings):
    await (await Blobs.open(on_disk)).close()
    first = await Blobs.open(on_disk)
    with pytest.raises(UsageError, match=r"another broker uses .*WASIMOFF_FILESTORAGE"):
        await Blobs.open(on_disk)
    await first.put(wasm(100))
    await first.close()
    await (await Blobs.open(on_disk)).close()


async def test_a_directory_that_can_not_be_used_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the data directory .* can't be used: .*WASIMOFF_FILESTORAGE"):
        await Blobs.open(Settings(filestorage=tmp_path / "file" / "data"))


async def test_a_newer_index_is_left_alone(on_disk: Settings):
    await (await Blobs.open(on_disk)).close()
    db = sqlite3.connect(on_disk.filestorage / "blobs.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UsageError, match="newer wasimoff"):
        await Blobs.open(on_disk)


# Killed processes, full disks

UPLOADER = """
import asyncio, random, sys
from pathlib import Path
from broker.blobs import Blob, Blobs
from broker.settings import Settings

async def stream(data):
    for start in range(0, len(data), 30_000):
        yield data[start : start + 30_000]

async def client(blobs, n):
    dice = random.Random(n)
    turn = 0
    while True:
        turn += 1
        data = b"\\0asm" + dice.randbytes(dice.randrange(10, 200_000))
        name = f"app{n}-{turn}" if turn % 2 else None
        blob = await blobs.receive(stream(data), name)
        print(blob.ref, name or "-", flush=True)

async def main():
    settings = Settings(filestorage=Path(sys.argv[1]), max_upload=2**20, storage_limit=2**27)
    blobs = await Blobs.open(settings, keep_seconds=0)
    await asyncio.gather(*(client(blobs, int(sys.argv[2]) * 10 + n) for n in range(4)))

asyncio.run(main())
"""


def killed_after(seconds: float, directory: Path, seed: int) -> dict[str, str]:
    """Refs and names that a process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOADER, str(directory), str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    assert err == b""
    lines = (first + out).decode().splitlines(keepends=True)
    return dict(line.split() for line in lines if line.endswith("\n"))


async def test_killed_at_any_point_the_store_is_whole(tmp_path: Path):
    acknowledged: dict[str, str] = {}
    dice = random.Random(1)
    for turn in range(8):
        acknowledged |= await asyncio.to_thread(killed_after, dice.random() * 0.3, tmp_path, turn)
    assert len(acknowledged) > 20
    left = len(files(tmp_path / "incoming"))
    blobs = await Blobs.open(Settings(filestorage=tmp_path))
    assert files(tmp_path / "incoming") == [], f"{left} halves were not cleared"
    for ref, name in acknowledged.items():
        assert ref_of(content(blobs.blob(ref))) == ref
        assert name == "-" or blobs.resolve(name) == ref
    on_disk = {ref_of(path.read_bytes()): path for path in files(tmp_path / "blobs")}
    assert all(f"sha256:{path.parent.name}{path.name}" == ref for ref, path in on_disk.items())
    assert set(on_disk) == {blob.ref for blob in blobs._catalogue}
    await blobs.close()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from broker.blobs import Blob, Blobs
from broker.errors import Refused
from broker.settings import Settings

async def main():
    blobs = await Blobs.open(Settings(filestorage=Path(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        await blobs.put(b"\\0asm" + bytes(400_000))
    except Refused as refused:
        print(refused)
    print(blobs._arriving, len(blobs), (await blobs.put(b"\\0asm" + bytes(100))).size)
    await blobs.close()

asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_is_an_error_for_one_and_not_the_end(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "internal: the broker's storage fails; its log says why\n0 0 104\n", done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "incoming") == []
