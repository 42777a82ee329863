"""Uploads: streamed, skipped when the broker has the bytes, done again when it lost them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from wasimoff import AsyncClient, BrokerError, Task, UsageError
from wasimoff.source import locate

from .conftest import WASM
from .peer import Peer


def ref_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_a_file_is_sent_once(peer: Peer, tmp_path: Path) -> None:
    content = WASM + os.urandom(3_000_000)
    path = tmp_path / "a.wasm"
    path.write_bytes(content)
    seen: list[tuple[int, int]] = []
    async with AsyncClient(peer.url) as client:
        ref = await client.upload(path, progress=lambda *step: seen.append(step))
        assert ref == ref_of(content)
        assert peer.blobs[ref] == content
        assert seen[-1] == (len(content), len(content))
        assert len(seen) == 3
        assert await client.upload(content) == ref
        assert await client.upload(str(path), progress=lambda *step: seen.append(step)) == ref
    assert peer.uploads == 1
    assert seen[-1] == (len(content), len(content))


async def test_an_alias_is_set_even_when_the_bytes_are_there(peer: Peer, tmp_path: Path) -> None:
    async with AsyncClient(peer.url) as client:
        ref = await client.upload(WASM)
        await client.upload(WASM, name="tool")
        await client.upload(WASM, name="tool")
    assert peer.aliases == {"tool": ref}
    assert peer.uploads == 2


async def test_a_local_program_is_uploaded_when_needed_and_again_when_it_changed(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "prog.wasm"
    path.write_bytes(WASM)
    async with AsyncClient(peer.url) as client:
        results = [r async for r in client.run_many((Task(path, [str(n)]) for n in range(50)), in_flight=20)]
        assert peer.uploads == 1
        assert {result.text.split()[0] for result in results} == {"prog.wasm"}
        path.write_bytes(WASM + b"\0\1\0")
        await client.run(str(path))
    assert peer.uploads == 2
    assert peer.tasks[-1].params.binary.ref == ref_of(WASM + b"\0\1\0")


async def test_a_broker_that_lost_its_files_gets_them_again(peer: Peer, tmp_path: Path) -> None:
    from pyodide_provider.wire import codec

    from .peer import Link, Request, echo

    async def strict(link: Link, sequence: int, request: Request) -> None:
        if request.params.binary.ref in peer.blobs:
            await echo(link, sequence, request)
        else:
            await link.send(codec.failure(sequence, "not_found: Ref not found in storage"))

    peer.answer = strict
    async with AsyncClient(peer.url) as client:
        assert (await client.run(WASM)).ok
        peer.blobs.clear()
        assert (await client.run(WASM)).ok
    assert peer.uploads == 2


async def test_a_folder_becomes_a_rootfs(peer: Peer, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "ü.txt").write_text("hello")
    (root / "tool.sh").write_text("#!")
    (root / "tool.sh").chmod(0o755)
    async with AsyncClient(peer.url) as client:
        await client.run("x", rootfs=root)
        await client.run("x", rootfs=str(root))
        again = tmp_path / "copy"
        root.rename(again)
        os.utime(again / "sub" / "ü.txt", (1, 1))
        assert await client.upload(again) == peer.tasks[0].params.rootfs.ref, "equal folders give equal bytes"
    assert peer.uploads == 1
    archive = zipfile.ZipFile(BytesIO(next(iter(peer.blobs.values()))))
    assert archive.namelist() == ["empty/", "sub/", "tool.sh", "sub/ü.txt"]
    assert archive.read("sub/ü.txt") == b"hello"
    assert archive.getinfo("tool.sh").external_attr >> 16 & 0o111


async def test_what_the_broker_does_not_take_is_told(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    async with AsyncClient(peer.url) as client:
        with pytest.raises(BrokerError, match=r"neither wasm nor zip"):
            await client.upload(path)
        with pytest.raises(UsageError, match="there is no file"):
            await client.upload(tmp_path / "missing")
        with pytest.raises(UsageError, match="there is no file 'missing' to upload"):
            await client.upload("missing")
        path.chmod(0)
        if os.geteuid():
            with pytest.raises(UsageError, match="can't read"):
                await client.upload(path)


async def test_a_file_that_changes_while_it_is_sent_is_noticed(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "a.wasm"
    path.write_bytes(WASM + bytes(3_000_000))

    def shorten(sent: int, total: int) -> None:
        os.truncate(path, sent)

    def scribble(sent: int, total: int) -> None:
        with path.open("r+b") as file:
            file.seek(-5, os.SEEK_END)
            file.write(b"x")

    async with AsyncClient(peer.url) as client:
        with pytest.raises(UsageError, match="became shorter"):
            await client.upload(path, progress=shorten)
        path.write_bytes(WASM + bytes(3_000_000))
        with pytest.raises(BrokerError, match="changed while it was uploaded"):
            await client.upload(path, progress=scribble)


@pytest.mark.parametrize("text", ["sha256:12", "./nothing", "some/where", "~/nothing.wasm", "a\0b"])
def test_what_can_be_no_source_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        locate(text)


def test_a_local_file_goes_before_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("tsp.wasm") == "tsp.wasm"
    (tmp_path / "tsp.wasm").write_bytes(WASM)
    assert locate("tsp.wasm") == Path("tsp.wasm")
    assert locate(ref_of(b"")) == ref_of(b"")
