"""Blobs on a real disk and in memory: limits, names, eviction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.blobs import Blob, Blobs
from broker.errors import Refused, StorageFull, TooLarge, UnsupportedMedia
from broker.settings import Settings
from broker.store.catalogue import Catalogue
from broker.store.memory import MemoryIncoming, MemoryStore
from tests.broker.samples import KIB, WASM, ZIP, content, files, pieces, ref_of, wasm

REF = f"sha256:{'0' * 64}"


@pytest.fixture(params=["disk", "memory"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    place = tmp_path / "data" if request.param == "disk" else None
    return Settings(filestorage=place, max_upload=64 * KIB, storage_limit=256 * KIB)


@pytest.fixture
def on_disk(tmp_path: Path) -> Settings:
    return Settings(filestorage=tmp_path / "data", max_upload=64 * KIB, storage_limit=256 * KIB)


@pytest.fixture
async def blobs(settings: Settings) -> AsyncIterator[Blobs]:
    blobs = await Blobs.open(settings, keep_seconds=0)
    yield blobs
    await blobs.close()


# What goes in comes out


async def test_bytes_come_back_by_digest_and_by_name(blobs: Blobs):
    data = wasm(5000)
    blob = await blobs.put(data, "text/html", "tsp.wasm")
    assert (blob.ref, blob.media, blob.size, content(blob)) == (ref_of(data), "application/wasm", 5000, data)
    assert blobs.resolve("tsp.wasm") == blobs.resolve(blob.ref) == blob.ref
    assert blobs.blob(blob.ref) == blob
    assert (blobs.held_bytes, len(blobs)) == (5000, 1)


async def test_a_stream_is_kept_like_bytes(blobs: Blobs):
    data = wasm(60 * KIB)
    blob = await blobs.receive(pieces(data), "a.wasm")
    assert (blob.ref, blob.media, content(blob)) == (ref_of(data), "application/wasm", data)
    assert blobs.resolve("a.wasm") == blob.ref
    assert await blobs.put(data) == blob


async def test_a_stream_in_single_bytes_and_empty_chunks(blobs: Blobs):
    async def drops() -> AsyncIterator[bytes]:
        for n in range(len(ZIP)):
            yield b""
            yield ZIP[n : n + 1]

    blob = await blobs.receive(drops())
    assert (blob.media, content(blob)) == ("application/zip", ZIP)


async def test_large_batches_pass_through_threads_whole(tmp_path: Path):
    blobs = await Blobs.open(Settings(filestorage=tmp_path, max_upload=2**24))
    data = wasm(5_000_001)
    assert content(await blobs.receive(pieces(data, 77_777))) == data
    other = wasm(5_000_001, "other")
    assert content(await blobs.put(other)) == other
    await blobs.close()


@pytest.mark.parametrize("data", [b"", b"\0as", b"#!/bin/sh", b"PK", b"PK\x01\x02", b"<html>"])
async def test_other_content_is_refused(blobs: Blobs, data: bytes):
    with pytest.raises(UnsupportedMedia, match="neither a WebAssembly module") as put:
        await blobs.put(data, "application/wasm")
    assert (put.value.code, put.value.http_status) == ("invalid_argument", 415)
    with pytest.raises(UnsupportedMedia):
        await blobs.receive(pieces(data))
    assert len(blobs) == 0


async def test_other_content_is_refused_as_soon_as_it_shows(blobs: Blobs):
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"garbage!"

    with pytest.raises(UnsupportedMedia):
        await blobs.receive(endless())
    assert taken == 1


# Names


async def test_a_name_moves_and_its_former_blob_stays(blobs: Blobs):
    first, second = await blobs.put(wasm(100, 1), name="app"), await blobs.put(wasm(100, 2), name="app")
    assert blobs.resolve("app") == second.ref
    assert blobs.resolve(first.ref) == first.ref


async def test_bytes_that_are_here_can_get_another_name(blobs: Blobs):
    blob = await blobs.put(wasm(100), name="one")
    assert await blobs.put(wasm(100), name="two") == blob
    assert blobs.resolve("one") == blobs.resolve("two") == blob.ref
    assert len(blobs) == 1


@pytest.mark.parametrize("name", ["tsp.wasm", "a", "A-b_c+d@1~2", "_", ".hidden", "x" * 128, "my app (1).wasm", "größe.wasm"])
async def test_names_that_can_be_used(blobs: Blobs, name: str):
    blob = await blobs.put(wasm(100), name=name)
    assert blobs.resolve(name) == blob.ref


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "a\n", "a\0", "-a", " a", "a ", "x" * 129, "a\u202eb", "\ud800", "sha256:abc"],
)
async def test_names_that_can_not(blobs: Blobs, name: str):
    await refused_as_name(blobs, name)


@pytest.mark.parametrize("name", ["f" * 64, REF, REF.upper(), f"sha-256-{'1' * 64}"])
async def test_names_that_look_like_digests(blobs: Blobs, name: str):
    await refused_as_name(blobs, name)


async def refused_as_name(blobs: Blobs, name: str) -> None:
    with pytest.raises(Refused, match="the name") as refused:
        await blobs.put(wasm(100), name=name)
    assert refused.value.code == "invalid_argument"
    taken = pieces(wasm(100))
    with pytest.raises(Refused, match="the name"):
        await blobs.receive(taken, name)
    assert await anext(taken), "the body was read before the name was looked at"
    assert len(blobs) == 0


async def test_what_is_not_here_resolves_to_nothing(blobs: Blobs):
    await blobs.put(wasm(100), name="app")
    for name in ("", "App", "app ", ref_of(b"other"), ref_of(wasm(100)).upper(), ref_of(wasm(100))[7:]):
        assert blobs.resolve(name) is None
    assert blobs.blob("app") is None, "blob() takes refs only"


async def test_names_are_bounded(settings: Settings):
    blobs = await Blobs.open(settings, max_names=2)
    for name in ("one", "two"):
        await blobs.put(wasm(100), name=name)
    with pytest.raises(Refused, match="names already") as refused:
        await blobs.put(wasm(100), name="three")
    assert refused.value.code == "resource_exhausted"
    await blobs.put(wasm(100, "new"), name="two")
    assert blobs.resolve("two") == ref_of(wasm(100, "new"))
    await blobs.close()


# Limits


async def test_a_file_may_be_as_large_as_the_limit_and_no_larger(blobs: Blobs):
    assert (await blobs.put(wasm(64 * KIB))).size == 64 * KIB
    assert (await blobs.receive(pieces(wasm(64 * KIB, 1)))).size == 64 * KIB
    for large in (blobs.put(wasm(64 * KIB + 1)), blobs.receive(pieces(wasm(64 * KIB + 1)))):
        with pytest.raises(TooLarge, match="WASIMOFF_MAX_UPLOAD") as refused:
            await large
        assert (refused.value.code, refused.value.http_status) == ("resource_exhausted", 413)
    assert len(blobs) == 2


async def test_an_endless_stream_is_cut_at_the_limit_whatever_length_it_claims(blobs: Blobs):
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield WASM
        while True:
            taken += KIB
            yield bytes(KIB)

    with pytest.raises(TooLarge):
        await blobs.receive(endless(), length=100)
    assert taken <= 65 * KIB


async def test_a_length_over_the_limit_is_refused_before_the_body(blobs: Blobs):
    stream = pieces(WASM)
    with pytest.raises(TooLarge):
        await blobs.receive(stream, length=64 * KIB + 1)
    assert await anext(stream) == WASM


async def test_the_least_recently_used_make_room(blobs: Blobs, settings: Settings):
    kept = [await blobs.put(wasm(60 * KIB, n)) for n in range(4)]
    assert blobs.resolve(kept[0].ref)
    await asyncio.sleep(0.002)
    await blobs.put(wasm(60 * KIB, "new"))
    assert [blobs.resolve(blob.ref) is not None for blob in kept] == [True, False, True, True]
    assert blobs.held_bytes == 240 * KIB
    if settings.filestorage is not None:
        assert sum(path.stat().st_size for path in files(settings.filestorage / "blobs")) == 240 * KIB


async def test_named_blobs_stay_and_a_full_storage_says_so(blobs: Blobs):
    for n in range(4):
        await blobs.put(wasm(60 * KIB, n), name=f"app{n}")
    with pytest.raises(StorageFull, match="the storage is full") as refused:
        await blobs.receive(pieces(wasm(60 * KIB, "new")))
    assert (refused.value.code, refused.value.http_status) == ("resource_exhausted", 507)
    assert len(blobs) == 4
    await blobs.put(wasm(100), name="app0")
    await asyncio.sleep(0.002)
    await blobs.put(wasm(60 * KIB, "new"))
    assert blobs.resolve(ref_of(wasm(60 * KIB, 0))) is None, "it had lost its name and made room"


async def test_what_was_used_within_the_hour_stays(settings: Settings):
    blobs = await Blobs.open(settings)
    for n in range(4):
        await blobs.put(wasm(60 * KIB, n))
    with pytest.raises(StorageFull):
        await blobs.put(wasm(60 * KIB, "new"))
    assert len(blobs) == 4
    assert (await blobs.put(wasm(60 * KIB, 0))).size == 60 * KIB, "what is here already needs no room"
    assert (await blobs.receive(pieces(wasm(60 * KIB, 0)))).size == 60 * KIB
    await blobs.close()


async def test_tiny_blobs_are_bounded_in_number(settings: Settings):
    blobs = await Blobs.open(settings, max_blobs=10, keep_seconds=0)
    for n in range(30):
        await blobs.put(wasm(20, n))
        await asyncio.sleep(0.001)
    assert len(blobs) == 10
    assert blobs.resolve(ref_of(wasm(20, 29)))
    await blobs.close()


async def test_uploads_on_their_way_count(blobs: Blobs):
    """Sixteen uploads that all stop just before their end: storage and one file more, and no byte beyond."""
    gate = asyncio.Event()

    async def stalled(n: int) -> AsyncIterator[bytes]:
        data = wasm(60 * KIB, n)
        yield data[:-1]
        await gate.wait()
        yield data[-1:]

    async def upload(n: int) -> Blob | Refused:
        try:
            return await blobs.receive(stalled(n))
        except Refused as refused:
            return refused

    uploads = [asyncio.create_task(upload(n)) for n in range(16)]
    await asyncio.sleep(0.2)
    gate.set()
    done = await asyncio.gather(*uploads)
    assert sum(isinstance(one, Blob) for one in done) == 5
    assert all(isinstance(one, Blob | StorageFull) for one in done)
    assert blobs.held_bytes <= 256 * KIB
    await asyncio.sleep(0.002)
    assert isinstance(await upload(99), Blob), "the room of the refused ones was not given back"


async def test_one_content_uploaded_by_many_at_once_is_kept_once(blobs: Blobs, settings: Settings):
    data = wasm(8 * KIB)
    ways = [blobs.receive(pieces(data, 50 + n), f"name{n}") for n in range(10)] + [blobs.put(data) for _ in range(10)]
    done = await asyncio.gather(*ways)
    assert {blob.ref for blob in done} == {ref_of(data)}
    assert (len(blobs), blobs.held_bytes) == (1, len(data))
    assert all(content(blob) == data for blob in done)
    assert all(blobs.resolve(f"name{n}") == ref_of(data) for n in range(10))
    if settings.filestorage is not None:
        assert len(files(settings.filestorage / "blobs")) == 1
        assert files(settings.filestorage / "incoming") == []


async def test_many_at_once_over_the_limit_leave_a_consistent_store(on_disk: Settings):
    """Uploads evict each other all the time, also blobs that come again: files, rows and memory must agree."""
    blobs = await Blobs.open(on_disk, keep_seconds=-1)

    async def client(n: int) -> None:
        for turn in range(12):
            await blobs.receive(pieces(wasm(50 * KIB, (n + turn) % 8), 20_000))

    await asyncio.gather(*(client(n) for n in range(5)), return_exceptions=True)
    assert blobs.held_bytes <= 256 * KIB
    here = {blob.ref: blob for blob in blobs._catalogue}
    assert len(here) == 5
    assert {ref_of(path.read_bytes()) for path in files(on_disk.filestorage / "blobs")} == set(here)
    await blobs.close()
    again = await Blobs.open(on_disk)
    assert {blob.ref for blob in again._catalogue} == set(here)
    await again.close()


# Speed


class GatedStore(MemoryStore):
    """Blocks what is being kept, or written, until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.reached = threading.Event()

    def incoming(self) -> MemoryIncoming:
        store = self

        class Gated(MemoryIncoming):
            def finish(self) -> str:
                store.reached.set()
                assert store.gate.wait(10)
                return super().finish()

        return Gated()


async def test_a_slow_disk_blocks_nobody_else_and_the_sender_may_leave():
    store = GatedStore()
    blobs = Blobs(store, Catalogue(max_bytes=2**20, max_blobs=10, max_names=10, keep_seconds=0), 2**20)
    upload = asyncio.create_task(blobs.receive(pieces(wasm(100))))
    put = asyncio.create_task(blobs.put(wasm(100, "put")))
    await asyncio.to_thread(store.reached.wait, 10)
    assert not upload.done()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    store.gate.set()
    assert (await put).ref == ref_of(wasm(100, "put"))
    assert len(blobs) == 1
    await blobs.close()
