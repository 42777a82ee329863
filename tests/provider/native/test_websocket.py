"""The WebSocket to the broker, against a real server: opened, refused, closed, flooded, silent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pyodide_provider.core.events import Event, LinkLost, LinkOpened
from pyodide_provider.errors import UsageError
from pyodide_provider.native import websocket
from pyodide_provider.native.websocket import WebSocket, base_url, socket_url
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

from .tiny_broker import TinyBroker, tiny_broker

PING = codec.request(1, pb.Ping())


class Wire:
    """A WebSocket whose events and frames are kept."""

    def __init__(self, url: str) -> None:
        self.socket = WebSocket(socket_url(base_url(url), "tester"))
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.socket.feed = self.events.put_nowait
        self.socket.receive = self.frames.put_nowait

    async def next(self) -> Event:
        async with asyncio.timeout(10):
            return await self.events.get()

    async def open(self, broker: TinyBroker) -> None:
        self.socket.open()
        assert await self.next() == LinkOpened()
        broker._socket = await broker.sockets.get()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://localhost:4080", "ws://localhost:4080/api/provider/ws?id=a+b"),
        ("https://host/", "wss://host/api/provider/ws?id=a+b"),
        ("ws://host/prefix/", "ws://host/prefix/api/provider/ws?id=a+b"),
        ("wss://[::1]:8443", "wss://[::1]:8443/api/provider/ws?id=a+b"),
        ("localhost:4080", "ws://localhost:4080/api/provider/ws?id=a+b"),
    ],
)
def test_where_providers_connect(given: str, expected: str) -> None:
    assert socket_url(base_url(given), "a b") == expected


def test_without_a_name_there_is_no_id() -> None:
    assert socket_url("http://host", "") == "ws://host/api/provider/ws"


@pytest.mark.parametrize(
    "given", ["", "ftp://host", "http://", "http://host:99999", "http://host:x", "http://host/?a=b", "://"]
)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(UsageError, match="not the address of a broker"):
        base_url(given)


async def test_frames_go_both_ways_in_order() -> None:
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        for number in range(500):
            wire.socket.send(codec.request(number + 1, pb.Ping()))
        assert [(await broker.hear()).sequence for _ in range(500)] == list(range(1, 501))
        await broker.send(PING)
        assert await wire.frames.get() == PING
        assert broker.names == ["tester"]
        wire.socket.close(1000, "done")
        await wire.socket.wait_closed()


async def test_what_was_sent_before_a_close_arrives_and_nothing_is_heard_after() -> None:
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        large = codec.wasip1_output(1, "t", 0, bytes(20 << 20), b"")
        wire.socket.send(large)
        wire.socket.close(1001, "the provider is leaving")
        wire.socket.send(PING)
        await wire.socket.wait_closed()
        assert len((await broker.hear()).payload.value) > 20 << 20
        assert wire.events.empty()
        await asyncio.sleep(0.05)
        assert broker.closes == [(1001, "")]


async def test_a_new_link_may_be_opened_right_after_a_close() -> None:
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        wire.socket.close(1011, "faulty")
        await wire.open(broker)
        wire.socket.send(PING)
        assert (await broker.hear()).sequence == 1
        wire.socket.close(1000, "done")
        await wire.socket.wait_closed()
        assert wire.events.empty()


async def test_a_broker_that_closes_says_why() -> None:
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        await broker.close(1001)
        assert await wire.next() == LinkLost("the broker closed the connection (1001: going away)")
        await wire.socket.wait_closed()


async def test_no_broker_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wire = Wire(f"http://127.0.0.1:{probe.getsockname()[1]}")
        wire.socket.open()
        lost = await wire.next()
    assert isinstance(lost, LinkLost)
    assert "Cannot connect" in lost.reason
    await wire.socket.wait_closed()


async def test_something_else_there() -> None:
    async with tiny_broker() as broker:
        broker.refuse = 403
        wire = Wire(broker.url)
        wire.socket.open()
        lost = await wire.next()
        assert isinstance(lost, LinkLost)
        assert "403" in lost.reason


async def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CONNECTING", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        wire = Wire(f"http://127.0.0.1:{silent.getsockname()[1]}")
        wire.socket.open()
        lost = await wire.next()
        assert isinstance(lost, LinkLost)
        assert "no answer within" in lost.reason


async def test_giving_up_to_open_is_quiet_and_quick() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        wire = Wire(f"http://127.0.0.1:{silent.getsockname()[1]}")
        wire.socket.open()
        await asyncio.sleep(0.05)
        wire.socket.close(1001, "never mind")
        async with asyncio.timeout(2):
            await wire.socket.wait_closed()
        assert wire.events.empty()


async def test_a_text_frame_is_not_taken() -> None:
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        assert broker._socket is not None
        await broker._socket.send_str("{}")
        assert await wire.next() == LinkLost("the broker sent a text frame")


async def test_a_frame_that_is_too_large_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE", 1000)
    async with tiny_broker() as broker:
        wire = Wire(broker.url)
        await wire.open(broker)
        await broker.send(bytes(2000))
        lost = await wire.next()
        assert isinstance(lost, LinkLost)
        assert wire.frames.empty()


@asynccontextmanager
async def deaf_wire() -> AsyncIterator[Wire]:
    """Open to a broker that shakes hands and reads nothing more."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Protocol: {codec.PROVIDER_BINARY}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        writer.write(answer.encode())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        wire.socket.open()
        assert await wire.next() == LinkOpened()
        yield wire
        async with asyncio.timeout(5):
            await wire.socket.wait_closed()
        over.set()
        await asyncio.sleep(0.01)


async def test_a_broker_that_reads_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_WAITING", 30 << 20)
    async with deaf_wire() as wire:
        for _ in range(60):
            wire.socket.send(bytes(1 << 20))
            await asyncio.sleep(0)
        lost = await wire.next()
        assert isinstance(lost, LinkLost)
        assert lost.reason == "the broker reads nothing: 31 MiB wait for it"


async def test_a_close_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LINGERING", 0.2)
    async with deaf_wire() as wire:
        wire.socket.send(bytes(30 << 20))
        wire.socket.close(1001, "leaving")
        async with asyncio.timeout(5):
            await wire.socket.wait_closed()
        assert wire.events.empty()
