"""What is large goes by way of the storage: stdin there, outputs and artifacts back, checked and bounded."""

from __future__ import annotations

import gc
import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import AsyncClient, BrokerError, PythonTask, Result, Task, UsageError
from wasimoff.kept import Kept

from .peer import Link, Peer, Request, ok
from .test_archive import zipped

MIB = 2**20


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_large_stdin_goes_by_reference(peer: Peer, transport: str) -> None:
    content = os.urandom(MIB + 1)
    async with AsyncClient(peer.url, transport=transport) as client:  # type: ignore[arg-type]
        for stdin in (content, bytearray(content), memoryview(content)):
            assert (await client.run("x", stdin=stdin)).ok  # type: ignore[arg-type]
        await client.run("x", stdin=content[2000:])
    *large, small = (task.params for task in peer.tasks)
    assert [peer.blobs[params.stdin_file.ref] == content for params in large] == [True] * 3
    assert not any(params.stdin for params in large)
    assert small.stdin == content[2000:]
    assert not small.HasField("stdin_file")
    assert peer.uploads == 1


async def test_stdin_from_a_file(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    content = os.urandom(2 * MIB)
    (tmp_path / "large").write_bytes(content)
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x", stdin=tmp_path / "small")).stdout == b"small"
        await client.run("x", stdin=tmp_path / "large")
        with pytest.raises(UsageError, match=r"can't read .*missing.*: No such file"):
            await client.run("x", stdin=tmp_path / "missing")
        with pytest.raises(UsageError, match=r"can't read .*: Is a directory"):
            await client.run("x", stdin=tmp_path)
    assert peer.blobs[peer.tasks[-1].params.stdin_file.ref] == content
    async with AsyncClient(peer.url, transport="http") as client:
        peer.extension = False
        assert (await client.run("x", stdin=tmp_path / "large")).stdout == content


async def test_a_file_too_large_to_go_inline_is_told(peer: Peer, tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(256 * MIB + 1)
    peer.extension = False
    async with AsyncClient(peer.url) as client:
        with pytest.raises(UsageError, match=r"has more than .* takes no stdin by way of its storage"):
            await client.run("x", stdin=tmp_path / "huge")


async def test_large_stdin_goes_inline_where_it_must(peer: Peer) -> None:
    content = b"x" * (MIB + 1)
    peer.extension = False
    async with AsyncClient(peer.url, transport="http") as client:
        assert (await client.run("x", stdin=content)).stdout == content
    assert peer.uploads == 0


async def test_a_storage_that_does_not_take_it_is_no_reason_to_fail(peer: Peer) -> None:
    content = b"x" * (MIB + 1)
    peer.takes_data = False
    async with AsyncClient(peer.url, transport="http") as client:
        assert (await client.run("x", stdin=content)).stdout == content


async def test_stdin_that_the_broker_lost_is_uploaded_again(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        if len(peer.tasks) == 1:
            peer.blobs.clear()
            await link.send(codec.failure(sequence, "not_found: Ref not found in storage"))
        else:
            await link.send(codec.response(sequence, ok(request, peer.blobs[request.params.stdin_file.ref][:3])))

    peer.answer = answer
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x", stdin=b"abc" + bytes(MIB))).stdout == b"abc"
    assert peer.uploads == 2


def refers(peer: Peer, stdout: bytes = b"", stderr: bytes = b"", artifacts: bytes = b"", status: int = 0) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        assert request.qos.by_reference
        response = ok(request)
        output = response.ok
        output.status = status
        for file, content in ((output.stdout_file, stdout), (output.stderr_file, stderr), (output.artifacts, artifacts)):
            if content:
                file.ref = peer.store(content)
        await link.send(codec.response(sequence, response))

    peer.answer = answer


async def test_large_outputs_are_fetched(peer: Peer, tmp_path: Path) -> None:
    out, err, zip_ = os.urandom(3 * MIB), os.urandom(2 * MIB), zipped(("a/b.txt", b"b"))
    refers(peer, out, err, zip_, status=7)
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    assert (result.status, result.stdout == out, result.stderr == err, result.error) == (7, True, True, "")
    assert result.artifacts == zip_
    assert isinstance(result.archive, Kept)
    assert f"artifacts=<{len(zip_)} bytes>" in repr(result)
    assert [path.read_bytes() for path in result.extract(tmp_path)] == [b"b"]
    again: Result = pickle.loads(pickle.dumps(result))
    assert again.archive == zip_


async def test_a_followed_task_has_its_large_output(peer: Peer) -> None:
    refers(peer, b"x" * 3 * MIB)
    async with AsyncClient(peer.url) as client:
        items = [item async for item in client.follow(Task("x"))]
    assert [len(item.stdout) for item in items] == [3 * MIB] * 2


@pytest.mark.parametrize(
    ("part", "words"), [("stdout", "its stdout can't"), ("stderr", "its stderr can't"), ("artifacts", "its artifacts can't")]
)
async def test_outputs_that_are_gone(peer: Peer, part: str, words: str) -> None:
    refers(peer, **{part: b"x" * MIB})  # type: ignore[arg-type]
    peer.store = lambda content: "sha256:" + "0" * 64  # type: ignore[method-assign]
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    assert (result.status, result.code) == (None, "not_found")
    assert "ended with exit code 0, but " + words in result.error


async def test_other_bytes_are_not_taken(peer: Peer) -> None:
    refers(peer, b"x" * MIB)
    peer.download = answering(b"y" * MIB)
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    assert result.code == "data_loss"
    assert "other bytes" in result.error
    assert result.stdout == b""


async def test_a_ref_that_is_none_is_not_asked_for(peer: Peer) -> None:
    refers(peer, b"x")
    peer.store = lambda content: "../../status"  # type: ignore[method-assign]
    async with AsyncClient(peer.url) as client:
        assert "is no ref" in (await client.run("x")).error
    assert peer.downloads == []


def answering(content: bytes, chunked: bool = False) -> Callable[[web.Request], object]:
    async def download(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if not chunked:
            response.content_length = len(content)
        await response.prepare(request)
        try:
            for start in range(0, len(content), MIB):
                await response.write(content[start : start + MIB])
        except ConnectionError:
            pass
        return response

    return download


@pytest.mark.parametrize("chunked", [False, True])
async def test_more_than_max_download_is_not_fetched(peer: Peer, chunked: bool) -> None:
    refers(peer, b"x" * 3 * MIB, b"y" * 2 * MIB)
    peer.download = None
    async with AsyncClient(peer.url, max_download=5 * MIB) as client:
        assert (await client.run("x")).ok
    async with AsyncClient(peer.url, max_download=5 * MIB - 1) as client:
        result = await client.run("x")
        assert result.code == "out_of_range"
        assert "max_download" in result.error
    peer.download = answering(bytes(64 * MIB), chunked)  # type: ignore[assignment]
    async with AsyncClient(peer.url, max_download=4 * MIB) as client:
        result = await client.run("x")
    assert "are left of what the client takes" in result.error


async def test_a_download_that_breaks_is_begun_again(peer: Peer) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(3 * MIB)})
        await response.prepare(request)
        await response.write(b"x" * MIB)
        peer.download = None
        assert request.transport is not None
        request.transport.abort()
        return response

    refers(peer, b"x" * 3 * MIB)
    peer.download = broken
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x")).stdout == b"x" * 3 * MIB
    assert len(peer.downloads) == 2


async def test_a_broker_that_is_gone_is_told_in_the_result(peer: Peer) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    refers(peer, b"x" * MIB)
    peer.download = broken
    async with AsyncClient(peer.url, patience=0.5) as client:
        result = await client.run("x")
    assert result.code == "unavailable"
    assert "its stdout can't be fetched" in result.error


async def test_a_large_archive_is_unpacked_with_little_memory_and_leaves_no_file(peer: Peer, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("big.bin", os.urandom(48 * MIB))
    refers(peer, artifacts=buffer.getvalue())
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    del buffer
    assert isinstance(result.archive, Kept)
    path = result.archive._path
    assert size_of(path) == result.archive.size
    gc.collect()
    tracemalloc.start()
    (written,) = result.extract(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written.stat().st_size == 48 * MIB
    assert peak < 8 * MIB
    del result
    gc.collect()
    assert size_of(path) is None


def size_of(path: str) -> int | None:
    return os.path.getsize(path) if os.path.exists(path) else None


async def test_artifacts_of_python_too(peer: Peer) -> None:
    zip_ = zipped(("a", b"a"))

    async def run(request: web.Request) -> web.Response:
        message = pb.Task.Pyodide.Request.FromString(await request.read())
        output = pb.Task.Pyodide.Output(pickle=b"", artifacts=pb.File(ref=peer.store(zip_)))
        response = pb.Task.Pyodide.Response(info=message.info, ok=output)
        return web.Response(body=response.SerializeToString(), content_type="application/proto")

    peer.python = run
    async with AsyncClient(peer.url, transport="http") as client:
        assert (await client.submit(PythonTask(script="1", artifacts=["/a"]))).artifacts == zip_


async def test_uploads_of_data_are_for_those_who_say_so(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        with pytest.raises(BrokerError, match="neither wasm nor zip"):
            await client.upload(b"hello")
