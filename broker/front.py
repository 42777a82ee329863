"""The short way in for short tasks over HTTP: one protocol in front of aiohttp's, which takes everything else.

aiohttp spends about 45 us on a request that is nothing but a task (request object, routing, task, future, response); that is
more than all the rest of it costs here. So a connection whose requests have exactly the plain form below is answered from
the bytes; the first request of any other form hands the connection to aiohttp for good (measured by `bench/broker.py`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from broker.connect import PROTO, encode_error
from broker.core.outcome import Answered, Outcome
from broker.core.task import Task
from broker.errors import Refused
from broker.outbox import Gatherer
from broker.replies import address, asked
from broker.tasks import Inline, Tasks
from broker.tasks_api import PATH
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.codec import UNDECODABLE

START = f"POST {PATH}RunWasip1 HTTP/1.1".encode()
MAX_BYTES = 1 << 16
"""Of a request that goes the short way."""
IDLE_SECONDS = 75.0
"""Without a request, after which a connection is closed; the same for those that aiohttp serves."""
IGNORED = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"connect-accept-encoding", b"te"})

HARMLESS = frozenset({(b"connect-protocol-version", b"1"), (b"connection", b"keep-alive")})
HEADER = re.compile(rb"([!#$%&'*+.^_`|~\w-]+):([\t\x20-\x7e]+)")


class Door:
    """Makes a `Front` for every connection that comes (it is a protocol factory), and closes those that idle."""

    def __init__(self, server: Callable[[], asyncio.Protocol], tasks: Tasks, gatherer: Gatherer) -> None:
        self.server = server
        self.tasks = tasks
        self.gatherer = gatherer
        self.fronts: set[Front] = set()
        """The connections that aiohttp does not know of."""
        self._loop = asyncio.get_running_loop()
        self._sweep = self._loop.call_later(IDLE_SECONDS / 4, self._sweep_idle)

    def __call__(self) -> Front:
        return Front(self)

    def _sweep_idle(self) -> None:
        self._sweep = self._loop.call_later(IDLE_SECONDS / 4, self._sweep_idle)
        since = time.monotonic() - IDLE_SECONDS
        for front in [front for front in self.fronts if front.idle_since < since]:
            front.expire()

    def close(self) -> None:
        """Close what aiohttp does not close itself; what is written is sent still."""
        self._sweep.cancel()
        for front in list(self.fronts):
            front.close()


class Front(asyncio.Protocol):
    """One connection. `_inner` is aiohttp's protocol for it, once a request came that is not plain."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._tasks = door.tasks
        self._gatherer = door.gatherer
        self._inner: asyncio.Protocol | None = None
        self._task: Task | None = None
        self._waits = b""
        self._head = b""
        self._length = -1
        self._requester = "local"
        self._since = time.monotonic()
        self._full = False
        self._unread = 0

    @property
    def idle_since(self) -> float:
        return float("inf") if self._task else self._since

    def close(self) -> None:
        self._transport.close()

    def expire(self) -> None:
        """Close, unless the client is still reading an answer; one that stopped to is cut off."""
        before, self._unread = self._unread, self._transport.get_write_buffer_size()
        if not self._unread:
            self._transport.close()
        elif self._unread == before:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if peer:
            self._requester = str(peer[0])
        self._door.fronts.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._tasks.cancel(task, "the client went away")
        self._door.fronts.discard(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()
        else:
            self._full = True

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
        else:
            self._full = False
            self._go_on()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            # What comes over a WebSocket is a burst. Requests of HTTP come one by one, each over a connection of its own: what
            # they lead to is gathered over the loop's turn.
            self._gatherer.hold()
            try:
                self._inner.data_received(data)
            finally:
                self._gatherer.flush()
        elif self._task is None and not self._full:
            self._serve(data)
        else:
            self._waits += data
            if len(self._waits) > MAX_BYTES:
                self._transport.pause_reading()

    def _serve(self, data: bytes) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        if head != self._head:
            self._length = plain_length(head)
            self._head = head
        if not end or len(body) != self._length or len(data) > MAX_BYTES:
            return self._hand_over(data)
        try:
            request = pb.Task.Wasip1.Request.FromString(body)
            info = request.info
            reply = _FrontReply(self, info.id, asked(info))
            task = self._tasks.submit(request, self._requester, len(body), reply)
        except (*UNDECODABLE, Inline):
            return self._hand_over(data)
        except Refused as refused:
            return self._refuse(refused)
        if not reply.resolved:
            self._task = task

    def _hand_over(self, data: bytes) -> None:
        self._door.fronts.discard(self)
        self._inner = self._door.server()
        self._inner.connection_made(self._transport)
        self._inner.data_received(data)

    def resolve(self, name: str, asked: pb.Task.Metadata | None, task: Task, outcome: Outcome) -> None:
        """Answer."""
        self._task = None
        if self._transport.is_closing():
            return
        if isinstance(outcome, Answered):
            body = address(outcome, name or task.id, asked).SerializeToString()
            self._write(b"200 OK", PROTO, body)
        else:
            self._refuse(Refused(outcome.code, outcome.message, outcome.retry_after))
        self._go_on()

    def _go_on(self) -> None:
        """With what came while a task ran, or while the client did not read its answer."""
        if self._waits and self._task is None and not self._full:
            waits, self._waits = self._waits, b""
            if len(waits) > MAX_BYTES:
                self._transport.resume_reading()
            self.data_received(waits)

    def _refuse(self, refused: Refused) -> None:
        status, retry_after, body = encode_error(refused)
        line = f"{status} {refused.code}"
        if retry_after:
            line += f"\r\nRetry-After: {retry_after}"
        self._write(line.encode(), "application/json", body)

    def _write(self, line: bytes, content_type: str, body: bytes) -> None:
        self._since = time.monotonic()
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nDate: %b\r\n\r\n%b"
            % (line, content_type.encode(), len(body), _date(), body)
        )


class _FrontReply:
    __slots__ = ("_asked", "_front", "_name", "resolved")

    def __init__(self, front: Front, name: str, asked: pb.Task.Metadata | None) -> None:
        self._front = front
        self._name = name
        self._asked = asked
        self.resolved = False

    def resolve(self, task: Task, outcome: Outcome) -> None:
        self.resolved = True
        self._front.resolve(self._name, self._asked, task, outcome)


def plain_length(head: bytes) -> int:
    """The Content-Length of a request head that is nothing but a task in protobuf; -1: aiohttp shall look at it.

    Every header must be known here, written in the one way that nobody reads differently: one that changes what the body or
    the answer is (an encoding, a timeout, an origin, a second length) is not, and neither is one that nobody thought of.
    """
    start, *lines = head.split(b"\r\n")
    found: dict[bytes, bytes] = {}
    for line in lines:
        header = HEADER.fullmatch(line)
        name = header[1].lower() if header else b""
        value = header[2].strip(b" \t") if header else b""
        if not value or name in found:
            return -1
        found[name] = value
    length = found.pop(b"content-length", b"")
    if start != START or found.pop(b"content-type", b"") != PROTO.encode() or b"host" not in found:
        return -1
    plain = all(name in IGNORED or (name, value.lower()) in HARMLESS for name, value in found.items())
    return int(length) if plain and length.isdigit() and len(length) < 8 else -1


_dated = (0, b"")


def _date() -> bytes:
    """Now, as HTTP writes it, made once a second."""
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True).encode())
    return _dated[1]
