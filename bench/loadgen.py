"""A load generator that costs little: a client and a null provider over raw sockets, in one process and one event loop.

The null provider answers every run at once with a fixed result. Frames are masked with a zero key, which leaves the bytes
as they are. Only for measurements against servers on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb


def mask_head(length: int) -> bytes:
    """A client's frame head (RFC 6455 §5.2) with a mask of zeros."""
    if length < 126:
        return bytes((0x82, 0x80 | length)) + bytes(4)
    if length < 1 << 16:
        return bytes((0x82, 0xFE)) + length.to_bytes(2, "big") + bytes(4)
    return bytes((0x82, 0xFF)) + length.to_bytes(8, "big") + bytes(4)


def sequence_of(envelope: bytes, at: int = 0) -> int:
    """The first field of an envelope, which every peer writes first."""
    assert envelope[at] == 8
    number = shift = 0
    while True:
        at += 1
        byte = envelope[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number
        shift += 7


class RawSocket(asyncio.Protocol):
    """A WebSocket client that hands over whole payloads and gathers what it writes per read."""

    def __init__(self, path: str, receive: Callable[[bytes], None]) -> None:
        self._path = path
        self._receive = receive
        self._buffer = b""
        self._out: list[bytes] = []
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {codec.PROVIDER_BINARY}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self.ready.done():
            head, mark, rest = buffer.partition(b"\r\n\r\n")
            if not mark:
                self._buffer = buffer
                return
            assert b" 101 " in head, head
            self.ready.set_result(None)
            buffer = rest
        at, end = 0, len(buffer)
        while end - at >= 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                if end - at < 4:
                    break
                length, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                if end - at < 10:
                    break
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if end - start < length:
                break
            opcode = buffer[at] & 15
            if opcode == 2:
                self._receive(buffer[start : start + length])
            elif opcode == 8:
                raise SystemExit(f"the server closed: {buffer[start : start + length]!r}")
            at = start + length
        self._buffer = buffer[at:]
        self.flush()

    def send(self, envelope: bytes) -> None:
        self._out += (mask_head(len(envelope)), envelope)

    def flush(self) -> None:
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()


class NullProvider:
    """Answers every run at once. `extension` makes it one of ours, which gets batches."""

    def __init__(self, concurrency: int, extension: bool) -> None:
        self._resources = pb.Event.ProviderResources(concurrency=concurrency, tasks=0)
        if extension:
            self._resources.extension = codec.EXTENSION
        self._own = extension
        output = pb.Task.Wasip1.Response(ok=pb.Task.Wasip1.Output(status=0, stdout=b"hello\n", stderr=b""))
        frame = codec.response(0, output)
        self._tail = frame[2:]
        self._listing = codec.response(1, pb.Filesystem.Listing.Response())[2:]

    async def connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self.socket = RawSocket("/api/provider/ws?id=null", self._received)
        await loop.create_connection(lambda: self.socket, "127.0.0.1", port)
        await self.socket.ready
        self.socket.send(codec.event(1, self._resources))
        self.socket.flush()

    def _received(self, frame: bytes) -> None:
        if frame[0] == 8:
            return self._answer(frame)
        answers: list[bytes] = []
        for envelope in pb.Envelope.FromString(frame).batch:
            if envelope.type == codec.REQUEST:
                url = envelope.payload.type_url
                tail = self._tail if url.endswith("Wasip1.Request") else self._listing
                answers.append(b"\x08" + codec.varint(envelope.sequence) + tail)
        if answers:
            self.socket.send(codec.batch(answers))

    def _answer(self, frame: bytes) -> None:
        sequence = sequence_of(frame)
        head = frame[:80]
        if b"Wasip1.Request" in head:
            self.socket.send(b"\x08" + codec.varint(sequence) + self._tail)
        elif b"Listing.Request" in head:
            self.socket.send(b"\x08" + codec.varint(sequence) + self._listing)
        elif b".Ping" in head:
            self.socket.send(codec.response(sequence, pb.Ping()))


class Meter:
    """Counts answers and their latencies between `start` and `stop`."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.counting = False

    def answered(self, sent: float) -> float:
        now = time.perf_counter()
        if self.counting:
            self.latencies.append(now - sent)
        return now

    async def measure(self, warm: float, seconds: float, cpu: Callable[[], float]) -> dict[str, float]:
        """Tasks per second, median and 99th percentile in milliseconds, and the server's CPU microseconds per task."""
        await asyncio.sleep(warm)
        self.latencies.clear()
        self.counting = True
        began, used = time.perf_counter(), cpu()
        await asyncio.sleep(seconds)
        took, used = time.perf_counter() - began, cpu() - used
        self.counting = False
        found = sorted(self.latencies)
        if not found:
            raise SystemExit("no task was answered")
        return {
            "rate": len(found) / took,
            "count": len(found),
            "p50": found[len(found) // 2] * 1000,
            "p99": found[int(len(found) * 0.99)] * 1000,
            "cpu": used / len(found) * 1e6,
        }


class SocketClient:
    """Keeps so many tasks in flight over one WebSocket."""

    def __init__(self, request: pb.Task.Wasip1.Request, in_flight: int, meter: Meter) -> None:
        self._tail = codec.request(0, request)[2:]
        self._in_flight = in_flight
        self._meter = meter
        self._next = 0
        self._sent: dict[int, float] = {}

    async def connect(self, port: int) -> None:
        self.socket = RawSocket("/api/client/ws", self._received)
        await asyncio.get_running_loop().create_connection(lambda: self.socket, "127.0.0.1", port)
        await self.socket.ready
        for _ in range(self._in_flight):
            self._send(time.perf_counter())
        self.socket.flush()

    def _send(self, now: float) -> None:
        self._next += 1
        self._sent[self._next] = now
        self.socket.send(b"\x08" + codec.varint(self._next) + self._tail)

    def _received(self, frame: bytes) -> None:
        if b"Wasip1.Response" not in frame[:80]:
            raise SystemExit(f"a task failed: {pb.Envelope.FromString(frame)}")
        self._send(self._meter.answered(self._sent.pop(sequence_of(frame))))

    def close(self) -> None:
        self.socket.transport.abort()


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, request: pb.Task.Wasip1.Request, meter: Meter, *, plain: bool) -> None:
        extra = b"" if plain else b"X-Other: 1\r\n"
        body = request.SerializeToString()
        self._bytes = (
            b"POST /api/client/wasimoff.v1.Tasks/RunWasip1 HTTP/1.1\r\nHost: localhost\r\nConnect-Protocol-Version: 1\r\n"
            b"Content-Type: application/proto\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)
        )
        self._meter = meter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._sent = time.perf_counter()
        transport.write(self._bytes)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a task failed: {data[:300]!r}")
        self._sent = self._meter.answered(self._sent)
        self.transport.write(self._bytes)
