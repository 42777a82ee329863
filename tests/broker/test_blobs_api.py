"""/api/storage over real sockets: uploads, downloads, ranges, and clients that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from aiohttp import ClientSession

from broker import blobs_api, bodies
from broker import serving as sending
from broker.blobs import Blobs
from broker.settings import Settings
from tests.broker.doors import answer, connected, serving
from tests.broker.samples import KIB, WASM, ZIP, files, pieces, ref_of, wasm

LIMIT = 1024 * KIB
FOREIGN = "https://elsewhere.example"


@pytest.fixture(params=["disk", "memory"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    place = tmp_path / "data" if request.param == "disk" else None
    return Settings(filestorage=place, max_upload=LIMIT, storage_limit=16 * LIMIT)


@pytest.fixture
async def blobs(settings: Settings) -> AsyncIterator[Blobs]:
    blobs = await Blobs.open(settings)
    yield blobs
    await blobs.close()


@pytest.fixture
async def url(blobs: Blobs, settings: Settings) -> AsyncIterator[str]:
    async with serving(blobs_api.routes(blobs, settings), settings) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[ClientSession]:
    async with ClientSession(url) as session:
        yield session


# Up and down


@pytest.mark.parametrize(("data", "media"), [(wasm(300 * KIB), "application/wasm"), (ZIP, "application/zip")])
async def test_what_is_uploaded_can_be_downloaded(http: ClientSession, data: bytes, media: str):
    async with http.post("/api/storage/upload?name=app", data=data) as up:
        assert (up.status, await up.text(), up.content_type) == (200, f"{ref_of(data)}\n", "text/plain")
        assert up.headers["X-Wasimoff-Ref"] == ref_of(data)
    for name, caching in (("app", "no-cache"), (ref_of(data), "public, max-age=31536000, immutable")):
        async with http.get(f"/api/storage/{name}") as down:
            assert (down.status, await down.read(), down.content_type) == (200, data, media)
            assert down.headers["X-Wasimoff-Ref"] == ref_of(data)
            assert down.headers["ETag"] == f'"{ref_of(data)}"'
            assert down.headers["Cache-Control"] == caching
            assert down.headers["Access-Control-Allow-Origin"] == "*"
            assert down.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        async with http.head(f"/api/storage/{name}") as head:
            assert (head.status, await head.read(), head.headers["Content-Length"]) == (200, b"", str(len(data)))


async def test_a_streamed_upload_without_a_length_and_without_a_name(http: ClientSession, blobs: Blobs):
    data = wasm(700 * KIB)
    async with http.post("/api/storage/upload", data=pieces(data, 50_000)) as up:
        assert await up.text() == f"{ref_of(data)}\n"
    assert blobs.resolve(ref_of(data))


async def test_a_name_with_spaces(http: ClientSession, blobs: Blobs):
    async with http.post("/api/storage/upload", params={"name": "my app (ä).wasm"}, data=WASM) as up:
        assert up.status == 200
    async with http.get("/api/storage/my%20app%20(%C3%A4).wasm") as down:
        assert await down.read() == WASM


async def test_many_upload_at_once(http: ClientSession, blobs: Blobs):
    contents = [wasm(200 * KIB, n % 5) for n in range(40)]

    async def upload(data: bytes) -> str:
        async with http.post("/api/storage/upload", data=pieces(data, 30_000)) as up:
            return (await up.text()).strip()

    assert await asyncio.gather(*(upload(data) for data in contents)) == [ref_of(data) for data in contents]
    assert len(blobs) == 5


async def test_a_packed_body_is_unpacked(http: ClientSession):
    data = wasm(10 * KIB)
    async with http.post("/api/storage/upload", data=gzip.compress(data), headers={"Content-Encoding": "gzip"}) as up:
        assert await up.text() == f"{ref_of(data)}\n"


async def test_the_same_file_can_be_read_by_many_and_evicted_under_them(tmp_path: Path):
    settings = Settings(filestorage=tmp_path, max_upload=8 * LIMIT, storage_limit=10 * LIMIT)
    blobs = await Blobs.open(settings, keep_seconds=-1)
    data = wasm(8 * LIMIT)
    blob = await blobs.put(data)
    async with serving(blobs_api.routes(blobs, settings), settings) as url, ClientSession(url) as http:
        downs = [await http.get(f"/api/storage/{blob.ref}") for _ in range(5)]
        await blobs.put(wasm(8 * LIMIT, "other"))
        assert blobs.resolve(blob.ref) is None
        for down in downs:
            assert await down.read() == data
    await blobs.close()


# Parts and revalidation


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-3", slice(0, 4)),
        ("bytes=4-", slice(4, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=999990-99999999", slice(999_990, None)),
        ("bytes=-99999999", slice(0, None)),
        ("bytes=0-", slice(0, None)),
        ("bytes=300000-699999", slice(300_000, 700_000)),
    ],
)
async def test_a_range(http: ClientSession, blobs: Blobs, asked: str, part: slice):
    data = wasm(1_000_000)
    blob = await blobs.put(data)
    async with http.get(f"/api/storage/{blob.ref}", headers={"Range": asked}) as down:
        assert (down.status, await down.read()) == (206, data[part])
        start, stop, _ = part.indices(len(data))
        assert down.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000000"
        assert int(down.headers["Content-Length"]) == stop - start


@pytest.mark.parametrize("asked", ["bytes=8-", "bytes=9-20", "bytes=-0", "BYTES=999999999999-"])
async def test_a_range_that_is_not_there(http: ClientSession, blobs: Blobs, asked: str):
    blob = await blobs.put(WASM)
    async with http.get(f"/api/storage/{blob.ref}", headers={"Range": asked}) as down:
        assert (down.status, await down.read()) == (416, b"")
        assert down.headers["Content-Range"] == "bytes */8"


@pytest.mark.parametrize(
    "asked",
    ["bytes=3-1", "bytes=0-1,3-4", "bytes=x", "bytes=-", "lines=1-2", "bytes=1-2-3", "bytes=²-", f"bytes={'9' * 5000}-"],
)
async def test_a_range_that_we_do_not_serve_is_ignored(http: ClientSession, blobs: Blobs, asked: str):
    blob = await blobs.put(WASM)
    async with http.get(f"/api/storage/{blob.ref}", headers={"Range": asked}) as down:
        assert (down.status, await down.read()) == (200, WASM)


@pytest.mark.parametrize(("condition", "status"), [(None, 206), ("same", 206), ('"other"', 200), ("W/same", 200)])
async def test_if_range(http: ClientSession, blobs: Blobs, condition: str | None, status: int):
    blob = await blobs.put(WASM)
    headers = {"Range": "bytes=0-0"}
    if condition:
        headers["If-Range"] = condition.replace("same", f'"{blob.ref}"')
    async with http.get(f"/api/storage/{blob.ref}", headers=headers) as down:
        assert down.status == status
        assert await down.read() == (WASM[:1] if status == 206 else WASM)


async def test_head_has_no_ranges(http: ClientSession, blobs: Blobs):
    blob = await blobs.put(WASM)
    async with http.head(f"/api/storage/{blob.ref}", headers={"Range": "bytes=0-0"}) as head:
        assert (head.status, head.headers["Content-Length"]) == (200, "8")


@pytest.mark.parametrize(
    ("tags", "status"), [("same", 304), ("W/same", 304), ('"x", same', 304), ("*", 304), ('"x"', 200), ("x", 200)]
)
async def test_if_none_match(http: ClientSession, blobs: Blobs, tags: str, status: int):
    blob = await blobs.put(WASM, name="app")
    for name in (blob.ref, "app"):
        headers = {"If-None-Match": tags.replace("same", f'"{blob.ref}"')}
        async with http.get(f"/api/storage/{name}", headers=headers) as down:
            assert (down.status, await down.read()) == (status, b"" if status == 304 else WASM)
            assert down.headers["ETag"] == f'"{blob.ref}"'


async def test_a_name_that_moved_is_seen_at_once(http: ClientSession, blobs: Blobs):
    first = await blobs.put(WASM, name="app")
    await blobs.put(wasm(100), name="app")
    async with http.get("/api/storage/app", headers={"If-None-Match": f'"{first.ref}"'}) as down:
        assert (down.status, await down.read()) == (200, wasm(100))


# Refusals, in words


async def test_unknown_is_404_in_the_form_that_was_asked_for(http: ClientSession):
    for name in ("nothing", f"sha256:{'0' * 64}", "upload", "%00", "..%2f..%2fetc%2fpasswd", "%ff"):
        async with http.get(f"/api/storage/{name}") as down:
            assert (down.status, down.content_type) == (404, "text/plain")
            assert (await down.text()).startswith("Ref not found in storage: ")
    async with http.get("/api/storage/nothing", headers={"Accept": "application/json"}) as down:
        assert down.status == 404
        assert await down.json() == {"code": "not_found", "message": "Ref not found in storage: 'nothing'; upload it first"}


@pytest.mark.parametrize("data", [b"", b"hello", b"PK"])
async def test_other_content_is_415(http: ClientSession, blobs: Blobs, data: bytes):
    headers = {"Accept": "application/json, */*;q=0.5", "Content-Type": "application/wasm"}
    async with http.post("/api/storage/upload", data=data, headers=headers) as up:
        assert (up.status, (await up.json())["code"]) == (415, "invalid_argument")
    async with http.post("/api/storage/upload", data=data) as up:
        assert (await up.text()).startswith("this is neither a WebAssembly module (.wasm) nor a zip: it ")
    assert len(blobs) == 0


@pytest.mark.parametrize("data", [b"", b"hello", b"PK", b"x" * 900_000])
async def test_what_is_called_data_may_be_anything(http: ClientSession, blobs: Blobs, data: bytes):
    for _ in range(2):
        async with http.post("/api/storage/upload?media=application/octet-stream", data=data) as up:
            assert (up.status, await up.text()) == (200, f"{ref_of(data)}\n")
    async with http.get(f"/api/storage/{ref_of(data)}") as down:
        assert (down.content_type, await down.read()) == ("application/octet-stream", data)
        assert down.headers["X-Content-Type-Options"] == "nosniff"
    async with http.post("/api/storage/upload?media=application/octet-stream", data=WASM) as up:
        assert up.status == 200
    async with http.get(f"/api/storage/{ref_of(WASM)}") as down:
        assert down.content_type == "application/wasm"


async def test_another_media_type_can_not_be_chosen(http: ClientSession, blobs: Blobs):
    async with http.post("/api/storage/upload?media=text/html", data=b"<script>") as up:
        assert (up.status, len(blobs)) == (400, 0)


async def test_a_name_that_can_not_be_used_is_400(http: ClientSession, blobs: Blobs):
    for name in ("a/b", "x" * 129, ref_of(WASM), "-rf"):
        async with http.post("/api/storage/upload", params={"name": name}, data=WASM) as up:
            assert (up.status, "the name" in await up.text()) == (400, True)
    assert len(blobs) == 0


async def test_a_body_that_is_not_packed_as_it_says(http: ClientSession, blobs: Blobs):
    async with http.post("/api/storage/upload", data=WASM, headers={"Content-Encoding": "gzip"}) as up:
        assert (up.status, "encoded as its headers say" in await up.text()) == (400, True)
    assert len(blobs) == 0


async def test_a_full_storage_is_507(http: ClientSession, blobs: Blobs):
    for n in range(16):
        await blobs.put(wasm(LIMIT, n))
    async with http.post("/api/storage/upload", data=WASM, headers={"Accept": "application/json"}) as up:
        assert (up.status, (await up.json())["code"]) == (507, "resource_exhausted")


async def test_other_methods_are_405_and_say_what_to_use(http: ClientSession):
    async with http.delete("/api/storage/app") as gone:
        assert (gone.status, gone.headers["Allow"]) == (405, "GET, HEAD")
        assert (await gone.json())["message"].endswith("use GET, HEAD.")


# Too large


async def test_exactly_the_limit_is_taken(http: ClientSession):
    async with http.post("/api/storage/upload", data=wasm(LIMIT)) as up:
        assert up.status == 200
    packed = gzip.compress(wasm(LIMIT, "packed"))
    assert len(packed) > LIMIT
    headers = {"Content-Encoding": "gzip", "Expect": "100-continue"}
    async with http.post("/api/storage/upload", data=pieces(packed, 50_000), headers=headers) as up:
        assert up.status == 200, "what counts is what is in the pack"
    async with http.post("/api/storage/upload", data=pieces(wasm(LIMIT + 1), 50_000)) as up:
        assert up.status == 413


async def test_a_body_far_over_the_limit_is_refused_and_its_sender_reads_why(url: str, blobs: Blobs):
    """The sender of a blocking client looks for the answer only when all is sent: it must find one nevertheless."""

    def send() -> tuple[int, str]:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
        body = (bytes(1 << 20) if n else WASM + bytes((1 << 20) - 8) for n in range(64))
        connection.request("POST", "/api/storage/upload", body, {"Content-Length": str(64 << 20)})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    status, text = await asyncio.to_thread(send)
    assert (status, "67108864 bytes are too much: a file may have 1048576 bytes" in text) == (413, True)
    assert len(blobs) == 0


async def test_an_endless_body_is_cut_at_the_limit(url: str, blobs: Blobs, settings: Settings):
    async with connected(url) as (reader, writer):
        writer.write(
            b"POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + WASM + b"\r\n"
        )
        sent = 0
        answered = asyncio.create_task(answer(reader))
        while not answered.done() and sent < 2**28:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
            sent += 0x10000
        got = await answered
        assert (got.status, b"a file may have 1048576 bytes" in got.body) == (413, True)
        assert sent < 2**26
    if settings.filestorage is not None:
        await asyncio.sleep(0.1)
        assert files(settings.filestorage / "incoming") == []


async def test_who_asks_before_sending_is_told_before_sending(url: str):
    head = "POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    async with connected(url) as (reader, writer):
        writer.write(head.format(LIMIT + 1).encode())
        got = await answer(reader)
        assert (got.status, got.headers["Connection"]) == (413, "close")
    async with connected(url) as (reader, writer):
        writer.write(head.format(8).encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(WASM)
        assert (await answer(reader)).status == 200


async def test_a_packed_bomb_is_cut_at_the_limit(http: ClientSession, blobs: Blobs):
    bomb = gzip.compress(WASM + bytes(200 << 20))
    assert len(bomb) < LIMIT
    async with http.post("/api/storage/upload", data=bomb, headers={"Content-Encoding": "gzip"}) as up:
        assert (up.status, "a file may have" in await up.text()) == (413, True)
    assert len(blobs) == 0


# Slow, stalled, gone


async def test_a_stalled_upload_is_given_up(url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.3)
    async with connected(url) as (reader, writer):
        writer.write(b"POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + WASM)
        got = await answer(reader)
        assert (got.status, b"stopped arriving" in got.body) == (408, True)
    if settings.filestorage is not None:
        await asyncio.sleep(0.1)
        assert files(settings.filestorage / "incoming") == []


async def test_a_body_that_drips_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.5)
    async with connected(url) as (reader, writer):
        writer.write(b"POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + WASM)
        answered = asyncio.create_task(answer(reader))
        for _ in range(100):
            if answered.done():
                break
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert (await answered).status == 408


async def test_a_slow_but_honest_upload_is_not(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.5)
    data = wasm(20_000)
    async with connected(url) as (reader, writer):
        writer.write(b"POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
        for n in range(0, len(data), 1000):
            writer.write(data[n : n + 1000])
            await asyncio.sleep(0.05)
        assert (await answer(reader)).status == 200


async def test_an_upload_whose_client_goes_away_leaves_nothing(url: str, blobs: Blobs, settings: Settings):
    async with connected(url) as (_, writer):
        writer.write(
            b"POST /api/storage/upload?name=app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + wasm(500_000)
        )
        await writer.drain()
        await asyncio.sleep(0.1)
        assert blobs._arriving > 0
    async with asyncio.timeout(5):
        while blobs._arriving:  # noqa: ASYNC110 - the server's end of a connection gives no event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(blobs) == 0
    if settings.filestorage is not None:
        assert files(settings.filestorage / "incoming") == []


async def test_a_download_that_nobody_reads_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "STALL_SECONDS", 0.3)
    settings = Settings(filestorage=tmp_path, max_upload=2**26)
    blobs = await Blobs.open(settings)
    blob = await blobs.put(wasm(2**25))
    async with serving(blobs_api.routes(blobs, settings), settings) as url, connected(url) as (reader, writer):
        writer.transport.pause_reading()
        writer.write(f"GET /api/storage/{blob.ref} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(1.0)
        writer.transport.resume_reading()
        assert await received(reader) < 2**25
    await blobs.close()


async def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(tmp_path: Path):
    settings = Settings(filestorage=tmp_path, max_upload=2**26)
    blobs = await Blobs.open(settings)
    blob = await blobs.put(wasm(2**24))
    assert blob.path is not None
    with blob.path.open("r+b") as file:
        file.truncate(2**20)
    async with serving(blobs_api.routes(blobs, settings), settings) as url, connected(url) as (reader, writer):
        writer.write(f"GET /api/storage/{blob.ref} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await received(reader) < 2**21
    await blobs.close()


async def received(reader: asyncio.StreamReader) -> int:
    """Bytes until the connection ends."""
    count = 0
    try:
        async with asyncio.timeout(10):
            while chunk := await reader.read(2**20):
                count += len(chunk)
    except ConnectionResetError:
        pass
    return count


async def test_garbage_is_answered_and_the_next_one_served(url: str, http: ClientSession):
    requests = (b"\x16\x03\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /\r\n\r\n", b"GET /" + b"a" * 99_999)
    for bytes_sent in requests:
        async with connected(url) as (reader, writer):
            writer.write(bytes_sent)
            text = await asyncio.wait_for(reader.read(), 20)
            assert text.startswith(b"HTTP/")
            assert b"Traceback" not in text
    async with http.post("/api/storage/upload", data=WASM) as up:
        assert up.status == 200


async def test_a_refusal_in_json_is_json(http: ClientSession):
    async with http.get("/api/storage/none", headers={"Accept": "application/json", "Origin": FOREIGN}) as down:
        assert json.loads(await down.read())["code"] == "not_found"
        assert down.headers["Access-Control-Allow-Origin"] == "*"
