"""The whole native provider as a process: started, drained, killed, left alone by its broker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyodide_provider.errors import UsageError
from pyodide_provider.native.main import main, parse_workers
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.contract import programs as p

from .rig import alive, children_of, wait_until
from .tiny_broker import TinyBroker, task, tiny_broker

NOOP, SPIN, BUSY = p.app("testing/noop"), p.app("testing/spin"), p.app("testing/busy")


class Provider:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)


@asynccontextmanager
async def provider(url: str, cache: Path, *more: str) -> AsyncIterator[Provider]:
    command = [sys.executable, "-m", "pyodide_provider", "--url", url, "--cache", str(cache), "--workers", "2", *more]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, cwd=p.APPS.parent)
    made = Provider(process)
    reading = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def outcome(broker: TinyBroker) -> pb.Task.Wasip1.Response:
    response = codec.unpack(await broker.answer())
    assert isinstance(response, pb.Task.Wasip1.Response)
    return response


async def test_it_joins_runs_and_leaves_in_peace(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path, "--name", "lab 7", "--verbose") as made:
        resources = await broker.joined()
        assert (resources.concurrency, resources.extension) == (2, 1)
        assert list(resources.runs) == ["wasip1", "wasip1-threads", "interactive"]
        assert resources.engine.startswith("wasmtime ")
        assert broker.names == ["lab 7"]
        await broker.ask(task("a", p.app("testing/cat"), stdin=b"through"))
        response = await outcome(broker)
        assert (response.info.id, response.ok.status, response.ok.stdout) == ("a", 0, b"through")
        await asyncio.to_thread(wait_until, lambda: made.says("2 of 2 workers ready"))
        await asyncio.to_thread(wait_until, lambda: made.says("no Python tasks: the broker has no Pyodide for us"))
        made.process.send_signal(signal.SIGTERM)
        assert await made.ended() == 0
        await asyncio.sleep(0.05)
        assert broker.closes == [(1001, "")]
        for words in ("connected to the broker", "worker 1 is ready", "SIGTERM: takes no more", "left"):
            assert made.says(words), made.lines
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_drain_ends_what_runs_and_hands_back_the_rest(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path) as made:
        await broker.joined()
        for name in ("a", "b", "c"):
            await broker.ask(task(name, BUSY, "700", name))
        await asyncio.sleep(0.3)
        made.process.send_signal(signal.SIGINT)
        refused = await broker.answer()
        assert (refused.sequence, refused.error) == (4, "the provider is leaving")
        responses = [await outcome(broker), await outcome(broker)]
        assert sorted(response.ok.stdout for response in responses) == [b"done a\n", b"done b\n"]
        assert await made.ended() == 0


async def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path) as made:
        await broker.joined()
        await broker.ask(task("a", SPIN))
        await asyncio.sleep(0.2)
        workers = children_of(made.pid)
        made.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        assert made.process.returncode is None
        made.process.send_signal(signal.SIGINT)
        assert await made.ended() == 128 + signal.SIGINT
        await asyncio.to_thread(wait_until, lambda: not any(map(alive, workers)), 3)
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_killed_it_takes_its_workers_along_and_the_next_sweeps(tmp_path: Path) -> None:
    async with tiny_broker() as broker:
        async with provider(broker.url, tmp_path) as made:
            await broker.joined()
            await broker.ask(task("a", SPIN))
            await asyncio.sleep(0.2)
            workers = children_of(made.pid)
            assert len(workers) == 2
            made.process.kill()
            await made.ended()
            await asyncio.to_thread(wait_until, lambda: not any(map(alive, workers)), 3)
        left = os.listdir(tmp_path / "scratch")
        assert len(left) == 1
        async with provider(broker.url, tmp_path) as made:
            await broker.joined()
            assert left[0] not in os.listdir(tmp_path / "scratch")


async def test_it_comes_back_when_the_broker_does(tmp_path: Path) -> None:
    async with tiny_broker() as broker:
        url, port = broker.url, int(broker.url.rpartition(":")[2])
        async with provider(url, tmp_path) as made:
            await broker.joined()
            await broker.ask(task("lost", SPIN))
            await asyncio.sleep(0.1)
            await broker.close()
            await broker.joined()
            await broker.ask(task("a", NOOP))
            response = await outcome(broker)
            assert (response.info.id, response.ok.status) == ("a", 0)
            assert made.says("lost the broker: the broker closed the connection (1001: going away)")
            await broker.send(b"\xff\xff")
            await broker.joined()
            assert made.says("is not an Envelope")
    assert port


async def test_cancel_frees_the_slot(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path, "--workers", "1"):
        await broker.joined()
        run = await broker.ask(task("a", SPIN))
        await asyncio.sleep(0.2)
        cancel = await broker.ask(pb.Task.Cancel(id="a", reason="client gone"))
        first, second = await broker.answer(), await broker.answer()
        assert (first.sequence, first.error) == (run, "cancelled: client gone")
        assert second.sequence == cancel
        await broker.ask(task("b", NOOP))
        assert (await outcome(broker)).info.id == "b"


async def test_a_worker_killed_from_outside_breaks_its_run_only(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path, "--workers", "1") as made:
        await broker.joined()
        await broker.ask(task("a", SPIN))
        await broker.ask(task("b", NOOP))
        await asyncio.sleep(0.2)
        (worker,) = children_of(made.pid)
        os.kill(worker, signal.SIGKILL)
        broken = await broker.answer()
        assert broken.error == "worker died: killed by SIGKILL"
        assert (await outcome(broker)).info.id == "b"


async def test_blobs_come_from_the_brokers_storage_or_are_pushed(tmp_path: Path) -> None:
    async with tiny_broker() as broker, provider(broker.url, tmp_path):
        await broker.joined()
        await broker.ask(pb.Filesystem.Upload.Request(upload=pb.File(blob=NOOP, media="application/wasm")))
        stored = codec.unpack(await broker.answer())
        assert isinstance(stored, pb.Filesystem.Upload.Response)
        request = task("pushed", b"")
        request.params.binary.ClearField("blob")
        request.params.binary.ref = stored.ref
        await broker.ask(request)
        assert (await outcome(broker)).ok.HasField("status")
        other = "sha256:" + "0" * 64
        request.params.binary.ref = other
        await broker.ask(request)
        assert (await outcome(broker)).error == f"Ref not found in storage: {other}"


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--url", "ftp://x"], "not the address of a broker"),
            (["--workers", "many"], "--workers is a number up to 512, or max; not 'many'"),
            (["--workers", "513"], "--workers is a number"),
            (["--workers", "-1"], "--workers is a number"),
            (["--cache", "/proc/nothing"], "can't be used"),
        ],
    )
    def test_wrong_ones_are_told_in_words(self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert words in said

    def test_workers(self) -> None:
        assert parse_workers("3") == 3
        assert parse_workers("0") == 0
        assert parse_workers("max") == len(os.sched_getaffinity(0))
        with pytest.raises(UsageError):
            parse_workers("٣")

    def test_help_teaches(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["--help"])
        said = capsys.readouterr().out
        for words in ("--url", "--workers N|max", "examples:", "SIGTERM", "exit codes"):
            assert words in said
