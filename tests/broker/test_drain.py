"""The real `python -m broker`: how it starts, drains on a signal, and refuses to start."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import METHODS, WASM, Client, Closed, Peer, Provider, output, task

ROOT = Path(__file__).resolve().parent.parent.parent


class Process:
    """A broker in a process of its own; `said` is what it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process, session: ClientSession) -> None:
        self.process = process
        self.http = session
        self.said = ""
        self.url = ""
        self.sockets: list[ClientWebSocketResponse] = []

    async def starts(self) -> None:
        async with asyncio.timeout(20):
            assert self.process.stderr is not None
            while not (found := re.search(r" at (http://\S+) ", self.said)):
                line = await self.process.stderr.readline()
                assert line, self.said
                self.said += line.decode()
        self.url = found[1]
        async with self.http.post(self.url + "/api/storage/upload?name=app", data=WASM) as response:
            assert response.status == 200

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ends(self, seconds: float = 30.0) -> int:
        async with asyncio.timeout(seconds):
            assert self.process.stderr is not None
            self.said += (await self.process.stderr.read()).decode()
            code = await self.process.wait()
        assert "Traceback" not in self.said, self.said
        assert "never" not in self.said, self.said
        return code

    async def connect(self, path: str) -> ClientWebSocketResponse:
        ws = await self.http.ws_connect(self.url + path, protocols=[codec.PROVIDER_BINARY])
        self.sockets.append(ws)
        return ws

    async def client(self) -> Client:
        return Client(await self.connect("/api/client/ws"))

    async def provider(self, slots: int = 1) -> Provider:
        provider = Provider(await self.connect("/api/provider/ws?id=p"))
        await provider.announce(slots)
        await provider.answer(1, pb.Filesystem.Listing.Response())
        return provider

    async def waiting(self, count: int) -> None:
        async with asyncio.timeout(20):
            while True:
                async with self.http.get(self.url + "/api/status") as response:
                    if (await response.json())["queue"]["waiting"] == count:
                        return
                await asyncio.sleep(0.01)

    async def goes_down(self) -> None:
        """Nobody new is let in."""
        try:
            async with asyncio.timeout(20):
                while True:
                    await self.client()
        except (ClientConnectionError, WSServerHandshakeError):
            pass

    async def run(self) -> tuple[int, bytes, str | None]:
        headers = {"Content-Type": "application/proto"}
        data = task("app").SerializeToString()
        async with self.http.post(self.url + METHODS + "RunWasip1", data=data, headers=headers) as response:
            return response.status, await response.read(), response.headers.get("Retry-After")


@asynccontextmanager
async def started(**settings: str) -> AsyncIterator[Process]:
    given = {"HTTP_LISTEN": "127.0.0.1:0", "FILESTORAGE": ":memory:"} | settings
    env = os.environ | {f"WASIMOFF_{name}": value for name, value in given.items()}
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "broker"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stderr=pipe, stdout=pipe)
    try:
        async with ClientSession() as session:
            broker = Process(process, session)
            try:
                yield broker
            finally:
                for ws in broker.sockets:
                    ws._response.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def closing(peer: Peer) -> int | None:
    return (await peer.closed()).code


async def test_what_runs_finishes_and_what_waits_is_handed_back():
    async with started() as broker:
        await broker.starts()
        provider, client = await broker.provider(), await broker.client()
        idle = await broker.client()
        running = await client.request(task("app", id="runs"))
        sequence, request = await provider.run()
        waiting = await client.request(task("app", id="waits"))
        over_http = asyncio.create_task(broker.run())
        await broker.waiting(2)
        broker.signal()
        handed_back = await client.next()
        assert handed_back.sequence == waiting
        assert handed_back.error == "unavailable: the broker is shutting down; try again in a moment (retry after 5 s)"
        status, body, retry_after = await over_http
        assert (status, retry_after) == (503, "5")
        assert b"shutting down" in body
        late = await client.request(task("app"))
        assert (await client.next()).sequence == late, "what comes now is handed back at once"
        await broker.goes_down()
        await provider.answer(sequence, output(request, b"done"))
        envelope = await client.next()
        assert (envelope.sequence, codec.unpack(envelope).ok.stdout) == (running, b"done")
        assert await asyncio.gather(closing(provider), closing(client), closing(idle)) == [1001] * 3
        assert await broker.ends() == 0


async def test_a_task_over_http_finishes_too():
    async with started() as broker:
        await broker.starts()
        provider = await broker.provider()
        asked = asyncio.create_task(broker.run())
        sequence, request = await provider.run()
        broker.signal(signal.SIGINT)
        await asyncio.sleep(0.1)
        await provider.answer(sequence, output(request, b"done"))
        assert await closing(provider) == 1001
        status, body, _ = await asked
        assert status == 200
        assert pb.Task.Wasip1.Response.FromString(body).ok.stdout == b"done"
        assert await broker.ends() == 0


async def test_what_does_not_finish_in_time_is_cancelled():
    async with started(DRAIN_SECONDS="0.3") as broker:
        await broker.starts()
        provider, client = await broker.provider(), await broker.client()
        await client.request(task("app"))
        await provider.run()
        over_http = asyncio.create_task(broker.run())
        await broker.waiting(1)
        began = time.monotonic()
        broker.signal()
        ended = asyncio.create_task(closing(provider))
        assert (await client.next()).error.startswith("unavailable: ")
        assert (await over_http)[0] == 503
        assert await asyncio.gather(ended, closing(client)) == [1001] * 2
        assert await broker.ends() == 0
        assert time.monotonic() - began > 0.3
        assert "1 runs did not end within 0.3 s" in broker.said


@pytest.mark.parametrize("runs", [0, 1])
async def test_a_job_is_answered_with_what_became_of_its_tasks(runs: int):
    async with started() as broker:
        await broker.starts()
        client = await broker.client()
        if runs:
            provider = await broker.provider()
        params = pb.Task.Wasip1.Params(binary=pb.File(ref="app"))
        await client.request(pb.Task.Wasip1.JobRequest(parent=params, tasks=[pb.Task.Wasip1.Params()] * 3))
        if runs:
            sequence, request = await provider.run()
        await broker.waiting(3 - runs)
        broker.signal()
        if runs:
            await asyncio.sleep(0.1)
            await provider.answer(sequence, output(request))
            assert await closing(provider) == 1001
        results = codec.unpack(await client.next()).tasks
        assert [r.error[:11] or r.ok.stdout for r in results] == [b"out"] * runs + ["unavailable"] * (3 - runs)
        assert await closing(client) == 1001
        assert await broker.ends() == 0


async def test_a_second_signal_ends_at_once():
    async with started() as broker:
        await broker.starts()
        provider, client = await broker.provider(), await broker.client()
        await client.request(task("app"))
        await provider.run()
        broker.signal()
        await broker.goes_down()
        broker.signal()
        assert await broker.ends() == 130


async def test_peers_that_do_not_answer_the_close_do_not_hold_it_up():
    async with started() as broker:
        await broker.starts()
        deaf = [await broker.client(), await broker.provider()]
        for peer in deaf:
            peer.ws._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        _, writer = await asyncio.open_connection(*broker.url.removeprefix("http://").split(":"))
        writer.write(b"POST /api/storage/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        await broker.waiting(0)
        broker.signal()
        assert await broker.ends() == 0
        writer.close()


async def test_a_port_in_use_is_told_in_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with started(HTTP_LISTEN=f"127.0.0.1:{port}") as broker:
            assert await broker.ends() == 2
            assert broker.said.count("\n") == 1
            assert broker.said == f"broker: can't listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HTTP_LISTEN": "nonsense"}, "WASIMOFF_HTTP_LISTEN='nonsense': give host:port"),
        ({"HTTP_LISTEN": "256.256.256.256:1"}, "can't listen on 256.256.256.256:1"),
        ({"HTTP_LISTEN": "192.0.2.1:1"}, "can't listen on 192.0.2.1:1"),
        ({"HTTP_CERT": __file__, "HTTP_KEY": __file__}, "WASIMOFF_HTTP_CERT and WASIMOFF_HTTP_KEY can't be used"),
    ],
)
async def test_what_can_not_be_is_told_in_a_sentence(settings: dict[str, str], words: str):
    async with started(**settings) as broker:
        assert await broker.ends() == 2
        assert words in broker.said
        assert broker.said.count("\n") == 1


async def test_lost_peers_leave_no_traces_in_the_log():
    async with started() as broker:
        await broker.starts()
        client, provider = await broker.client(), await broker.provider()
        await client.request(task("app"))
        await provider.run()
        await client.ws.send_str("wrong")
        with pytest.raises(Closed):
            await client.next()
        await provider.lose()
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9\r\n\r\n", b"\0" * 100):
            _, writer = await asyncio.open_connection(*broker.url.removeprefix("http://").split(":"))
            writer.write(garbage)
            await writer.drain()
            writer.close()
        await asyncio.sleep(0.1)
        broker.signal()
        assert await broker.ends() == 0
        assert "ERROR" not in broker.said
