"""Messages of a WebSocket are handled where they are parsed, in order, whatever else comes between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMsgType

from broker.client_socket import ClientSocket
from broker.sockets import CLOSE_SECONDS, Socket
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import World, output, task, until, upload, world


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        await upload(found.broker, "app")
        yield found


async def test_a_message_is_handed_over_without_a_task(w: World, monkeypatch: pytest.MonkeyPatch):
    """It rests on insides of aiohttp: this says when they have changed."""
    delivered: list[bytes] = []
    real = Socket._deliver

    def deliver(socket: Socket, frame: bytes) -> None:
        delivered.append(frame)
        real(socket, frame)

    client = await w.client()
    await client.request(pb.Ping())
    await client.next()
    monkeypatch.setattr(Socket, "_deliver", deliver)
    other = await w.client()
    for _ in range(10):
        await other.request(pb.Ping())
        await other.next()
    assert len(delivered) == 10


async def test_order_is_kept_across_control_frames_and_parts(w: World):
    client = await w.client()
    frames = [codec.request(n, pb.Ping()) for n in range(1, 301)]
    for n, frame in enumerate(frames):
        if n % 7 == 0:
            await client.ws.ping(b"x")
        await client.ws.send_bytes(frame)
    assert [(await client.next()).sequence for _ in frames] == list(range(1, 301))


async def test_what_breaks_in_the_broker_costs_that_peer_only(
    w: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    healthy, unlucky = await w.client(), await w.client()

    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ClientSocket, "_told", breaks)
    with caplog.at_level(logging.CRITICAL, "broker"):
        await unlucky.ws.send_bytes(codec.event(1, pb.Event.TaskInput(request=1)))
        message = await unlucky.ws.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
    assert "its log says what" in message.extra
    await healthy.request(pb.Ping())
    assert (await healthy.next()).sequence == 1


async def test_a_provider_that_breaks_the_protocol_is_lost_before_it_answers_the_close(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    await provider.run()
    began = asyncio.get_running_loop().time()
    await provider.ws.send_bytes(b"\xff")
    other = await w.provider()
    sequence, run = await other.run()
    await other.answer(sequence, output(run))
    assert (await client.next()).type == codec.RESPONSE
    assert asyncio.get_running_loop().time() - began < CLOSE_SECONDS


async def test_what_comes_with_the_handshake_is_neither_lost_nor_late(w: World):
    host, port = w.broker.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        "GET /api/client/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {codec.PROVIDER_BINARY}\r\n\r\n"
    )
    pings = [codec.request(n, pb.Ping()) for n in range(1, 101)]
    frames = b"".join(bytes((0x82, 0x80 | len(ping))) + bytes(4) + ping for ping in pings)
    # In three pieces, cut in the middle of a frame.
    writer.write(head.encode() + frames[:1001])
    await writer.drain()
    writer.write(frames[1001:3000])
    await asyncio.sleep(0)
    writer.write(frames[3000:])
    await reader.readuntil(b"\r\n\r\n")
    answers = [codec.response(n, pb.Ping()) for n in range(1, 101)]
    expected = b"".join(bytes((0x82, len(answer))) + answer for answer in answers)
    assert await reader.readexactly(len(expected)) == expected
    writer.close()


@pytest.mark.parametrize("path", ["/api/client/ws", "/api/provider/ws"])
async def test_who_sends_too_much_reads_why_when_it_is_done(path: str):
    async with world(max_message=1 << 20) as w:
        host, port = w.broker.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {codec.PROVIDER_BINARY}\r\n\r\n"
        )
        size = 2 << 20
        writer.write(head.encode() + bytes((0x82, 0xFF)) + size.to_bytes(8, "big") + bytes(4))
        for _ in range(8):
            writer.write(bytes(size // 8))
            await writer.drain()
            await asyncio.sleep(0.01)
        answer = await reader.read()
        writer.close()
        assert (1009).to_bytes(2, "big") in answer
        await until(lambda: not w.broker._clients and not w.broker.dispatcher.links)
