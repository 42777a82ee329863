"""What waits to be written to WebSockets: gathered, and written after the first message of a burst and at its end. Knows
frames only.

Frames go straight to the transport: whole ones only, so that aiohttp's own (pong, close) never cut into them. Writing a
burst at once instead of frame by frame takes half of the broker's time per task away (`bench/broker.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pyodide_provider.wire import codec

BATCH_BYTES = 1 << 20
"""A batch is closed when it holds so many bytes."""
BATCH_ENVELOPES = 256


class Gatherer:
    """The outboxes that have something to write. Whoever hands over a burst of messages says so (`hold`) and calls `flush` at
    its end; at any other time what is sent is written on the event loop's next turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Outbox] = []
        self._last: list[Callable[[], None]] = []
        self._promised = False
        self._first = False
        """The burst's first message is not handled yet."""

    def hold(self) -> None:
        self._promised = self._first = True

    def add(self, outbox: Outbox) -> None:
        self._waiting.append(outbox)
        self._promise()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call it when all of the burst is written."""
        self._last.append(call)
        self._promise()

    def _promise(self) -> None:
        if not self._promised:
            self._promised = True
            self._loop.call_soon(self.flush)

    def handled(self) -> None:
        """After each message. What the first of a burst leads to leaves at once: its receiver works while we do the rest."""
        if self._first:
            self._first = False
            self._write()

    def flush(self) -> None:
        self._promised = self._first = False
        self._write()
        if self._last:
            last, self._last = self._last, []
            for call in last:
                call()

    def _write(self) -> None:
        waiting = self._waiting
        if waiting:
            self._waiting = []
            for outbox in waiting:
                outbox.flush()


class Outbox:
    """Call `send` with encoded envelopes. When a peer has left more than `limit` bytes unread, `stuck` is called instead of
    writing more: what one burst makes may be as large as it is, what stays unread may not."""

    def __init__(
        self, transport: asyncio.Transport, gatherer: Gatherer, *, json: bool, limit: int, stuck: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._json = json
        self._limit = limit
        self._stuck = stuck
        self._pending: list[bytes] = []
        self._gatherer = gatherer
        self._batches = False
        self._greet = False
        self.closed = False

    def batch(self) -> None:
        """The peer has shown that it understands batches: the next frame is one, which shows that we do too."""
        if not self._batches and not self._json:
            self._batches = self._greet = True

    def unread(self) -> int:
        """Bytes that the peer has not taken yet."""
        return sum(map(len, self._pending)) + self._transport.get_write_buffer_size()

    def send(self, envelope: bytes) -> None:
        if not self._pending:
            self._gatherer.add(self)
        self._pending.append(envelope)

    def close(self, code: int, reason: str) -> None:
        """Write what is pending and a close frame; after that, nothing."""
        self.flush()
        if not self.closed and not self._transport.is_closing():
            payload = _close_payload(code, reason)
            self._transport.write(_header(0x88, len(payload)) + payload)
        self.closed = True

    def flush(self) -> None:
        """Write what is pending now."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        if self.closed or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > self._limit:
            return self._stuck()
        if self._batches and (len(pending) > 1 or self._greet):
            self._greet = False
            self._transport.write(b"".join(_batched(pending)))
        elif self._json:
            self._transport.write(b"".join(_texts(pending)))
        elif len(pending) == 1:
            self._transport.write(_header(0x82, len(pending[0])) + pending[0])
        else:
            self._transport.write(b"".join([part for e in pending for part in (_header(0x82, len(e)), e)]))


def _close_payload(code: int, reason: str) -> bytes:
    """Of a close frame (RFC 6455 §5.5.1): at most 125 bytes, the reason whole letters."""
    return code.to_bytes(2, "big") + reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()


def _header(opcode: int, length: int) -> bytes:
    """The head of an unmasked frame (RFC 6455 §5.2), server to client."""
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big")
    return bytes((opcode, 127)) + length.to_bytes(8, "big")


def _texts(pending: list[bytes]) -> list[bytes]:
    parts: list[bytes] = []
    for envelope in pending:
        text = codec.encode_json(envelope).encode()
        parts += (_header(0x81, len(text)), text)
    return parts


def _batched(pending: list[bytes]) -> list[bytes]:
    parts: list[bytes] = []
    group: list[bytes] = []
    size = 0
    for envelope in pending:
        if group and (size + len(envelope) > BATCH_BYTES or len(group) == BATCH_ENVELOPES):
            frame = codec.batch(group)
            parts += (_header(0x82, len(frame)), frame)
            group, size = [], 0
        group.append(envelope)
        size += len(envelope)
    frame = codec.batch(group)
    parts += (_header(0x82, len(frame)), frame)
    return parts
