"""A tab that lends to a broker of another origin and another make: no batches, blobs that are pushed, odd requests."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from google.protobuf.message import Message
from playwright.sync_api import Browser

from e2e.chromium import Tab, Watch
from e2e.processes import PATIENCE, TESTING, BrokerProcess
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

T = TypeVar("T")


def ref_of(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


class ForeignBroker:
    """Speaks the public protocol only, one envelope a frame, and keeps what it is told."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.events: list[Message] = []
        self.largest = 0
        self._answers: dict[int, asyncio.Future[pb.Envelope]] = {}
        self._sequence = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._do(self._start())

    def _do(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(PATIENCE)

    async def _start(self) -> int:
        app = web.Application()
        app.add_routes([web.get("/api/provider/ws", self._serve), web.get("/api/storage/{ref}", self._blob)])
        self._socket: asyncio.Future[web.WebSocketResponse] = self._loop.create_future()
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _blob(self, request: web.Request) -> web.Response:
        ref = request.match_info["ref"]
        self.asked.append(ref)
        headers = {"Access-Control-Allow-Origin": "*"}
        if ref not in self.blobs:
            return web.Response(status=404, headers=headers)
        return web.Response(body=self.blobs[ref], content_type="application/wasm", headers=headers)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=[codec.PROVIDER_BINARY], max_msg_size=0)
        await socket.prepare(request)
        self._socket.set_result(socket)
        async for message in socket:
            envelope = pb.Envelope.FromString(message.data)
            self.largest = max(self.largest, len(envelope.batch))
            if envelope.type == codec.EVENT:
                self.events.append(codec.unpack(envelope))
            elif envelope.sequence in self._answers:
                self._answers.pop(envelope.sequence).set_result(envelope)
        return socket

    def send(self, *payloads: Message) -> list[pb.Envelope]:
        """Ask these at once, wait for all answers."""

        async def work() -> list[pb.Envelope]:
            socket = await self._socket
            answers = []
            for payload in payloads:
                self._sequence += 1
                answers.append(self._loop.create_future())
                self._answers[self._sequence] = answers[-1]
                await socket.send_bytes(codec.request(self._sequence, payload))
            return list(await asyncio.gather(*answers))

        return self._do(work())

    def ask(self, payload: Message) -> Any:
        """The payload of the answer."""
        (answer,) = self.send(payload)
        assert not answer.error, answer.error
        return codec.unpack(answer)

    def send_raw(self, frame: bytes) -> None:
        async def work() -> None:
            await (await self._socket).send_bytes(frame)

        self._do(work())

    def close(self) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def foreign() -> Iterator[ForeignBroker]:
    broker = ForeignBroker()
    yield broker
    broker.close()


@pytest.fixture
def serve(chromium: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens a page of our broker that lends to another one."""
    closing: list[Callable[[], None]] = []

    def start(origin: str, *, allowed: bool = True, **fragment: str) -> Tab:
        broker = BrokerProcess(environ={"WASIMOFF_ALLOWED_ORIGINS": origin} if allowed else {})
        context = chromium.new_context()
        closing.extend((broker.close, context.close))
        watch = Watch(context)
        if not allowed:
            watch.expected += ["Content Security Policy", "WebSocket"]
        closing.append(watch.check)
        return Tab(context.new_page()).open(broker.url, transport=origin, **fragment)

    yield start
    while closing:
        closing.pop()()


def test_all_that_a_broker_may_ask(foreign: ForeignBroker, serve: Callable[..., Tab]) -> None:
    tab = serve(f"http://127.0.0.1:{foreign.port}")
    assert list(foreign.ask(pb.Filesystem.Listing.Request()).files) == []
    tab.lending()
    assert foreign.events[0] == pb.Event.ProviderResources.FromString(foreign.events[0].SerializeToString())
    assert foreign.events[-1].concurrency == 2  # type: ignore[attr-defined]
    assert foreign.ask(pb.Ping()) == pb.Ping()

    # A blob that is pushed is there for all workers, and nobody fetches it.
    noop, cat = (Path(TESTING / f"{name}.wasm").read_bytes() for name in ("noop", "cat"))
    assert foreign.ask(pb.Filesystem.Upload.Request(upload=pb.File(blob=noop, media="application/wasm"))).ref == ref_of(noop)
    assert foreign.ask(pb.Filesystem.Probe.Request(file=ref_of(noop))).ok
    assert not foreign.ask(pb.Filesystem.Probe.Request(file=ref_of(cat))).ok
    for answer in foreign.send(*(run_of(f"n{number}", ref_of(noop)) for number in range(8))):
        assert codec.unpack(answer).ok.status == 0  # type: ignore[attr-defined]
    tab.page.get_by_role("button", name="One worker more").click()
    tab.lending(3)
    for answer in foreign.send(*(run_of(f"m{number}", ref_of(noop)) for number in range(8))):
        assert codec.unpack(answer).ok.status == 0  # type: ignore[attr-defined]
    assert foreign.asked == []

    # Another is fetched across origins.
    foreign.blobs[ref_of(cat)] = cat
    done = foreign.ask(run_of("cat", ref_of(cat), stdin=b"across"))
    assert done.ok.stdout == b"across"
    assert foreign.asked == [ref_of(cat)]

    python = foreign.ask(pb.Task.Pyodide.Request(params=pb.Task.Pyodide.Params(script="6 * 7")))
    assert pickle.loads(python.ok.pickle) == 42

    # What it does not do is an error, and it goes on.
    (answer,) = foreign.send(pb.Task.Wasip1.JobRequest())
    assert "a provider does not answer" in answer.error
    assert foreign.ask(run_of("last", ref_of(noop))).ok.status == 0
    assert foreign.largest == 0, "a batch was sent to a broker that never showed that it knows them"


def test_a_broker_that_sends_garbage_is_left_and_tried_again(foreign: ForeignBroker, serve: Callable[..., Tab]) -> None:
    tab = serve(f"http://127.0.0.1:{foreign.port}")
    foreign.ask(pb.Filesystem.Listing.Request())
    tab.lending()
    foreign.send_raw(b"\xff\xff\xff not an envelope")
    tab.wait(10, link="waiting")
    assert "is not an Envelope" in tab.log


def test_a_connection_that_the_server_does_not_allow_is_explained(foreign: ForeignBroker, serve: Callable[..., Tab]) -> None:
    tab = serve(f"http://127.0.0.1:{foreign.port}", allowed=False)
    tab.wait(link="waiting")
    assert "WASIMOFF_ALLOWED_ORIGINS" in tab.page.locator("#detail").inner_text()


def run_of(task: str, ref: str, stdin: bytes = b"") -> pb.Task.Wasip1.Request:
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=ref), args=["program"], stdin=stdin)
    return pb.Task.Wasip1.Request(info=pb.Task.Metadata(id=task), params=params)
