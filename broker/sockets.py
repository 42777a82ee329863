"""What provider and client sockets share: the handshake, frames to envelopes, and the end. Imports the wire and aiohttp."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import types
from collections.abc import Callable, Generator, Iterable
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from broker.origins import is_own
from broker.outbox import Gatherer, Outbox
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

log = logging.getLogger("broker")

CLOSE_SECONDS = 5.0
LARGE_JSON = 1 << 16
"""Letters from which JSON is decoded in a thread."""


class Socket:
    """One accepted WebSocket. `pump` reads until the end; `drop` closes from our side, with a code and a reason."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport, gatherer: Gatherer, unread_limit: int) -> None:
        self.ws = ws
        self._gatherer = gatherer
        self.json = ws.ws_protocol == codec.PROVIDER_JSON
        self.outbox = Outbox(transport, gatherer, json=self.json, limit=unread_limit, stuck=self._stuck)
        self.closed_because = ""
        self._transport = transport
        self._cut: asyncio.TimerHandle | None = None
        """Set when we have closed: the peer has until then to answer."""
        self._woken = True
        """No message was handled since the reader slept."""
        self._ack_due = False
        self._raw = _own_descriptor(transport)

    async def pump(self, receive: Callable[[pb.Envelope], None]) -> str:
        """Give every envelope to `receive`, in order, until the socket ends; the reason comes back, in words."""
        ws = self.ws
        wanted = WSMsgType.TEXT if self.json else WSMsgType.BINARY
        hold = self._gatherer.hold
        try:
            while True:
                message = await self._next()
                hold()
                if self._cut is not None:
                    return self.closed_because
                if message.type is wanted:
                    envelopes = await self._decode_json(message.data) if self.json else codec.decode(message.data)
                    for envelope in envelopes:
                        receive(envelope)
                    if self._woken:
                        # What the first of a burst leads to leaves at once: its receiver works while we do the rest.
                        self._woken = False
                        self._gatherer.flush()
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self.drop(WSCloseCode.UNSUPPORTED_DATA, f"{ws.ws_protocol} carries {wanted.name.lower()} frames")
                else:
                    return _why(message, ws)
                if self._cut is not None:
                    return self.closed_because
        except PeerError as error:
            self.drop(WSCloseCode.INTERNAL_ERROR, str(error))
            return self.closed_because
        finally:
            self._sleep()

    async def _decode_json(self, text: str) -> Iterable[pb.Envelope]:
        if len(text) < LARGE_JSON:
            return codec.decode_json(text)
        # A megabyte may take a second: everybody else is served meanwhile.
        self._sleep()
        try:
            return await asyncio.to_thread(codec.decode_json, text)
        finally:
            self._gatherer.hold()

    @types.coroutine
    def _next(self) -> Generator[Any, Any, WSMessage]:
        """`ws.receive()`, which writes what this reader made just before it has to wait."""
        receiving = self.ws.receive().__await__()
        try:
            future = next(receiving)
            while True:
                self._sleep()
                try:
                    yield future
                except BaseException as error:
                    # A frame that breaks the protocol comes this way: aiohttp answers it, and may wait once more for that.
                    future = receiving.throw(error)
                else:
                    future = next(receiving)
        except StopIteration as received:
            message: WSMessage = received.value
            return message

    def _sleep(self) -> None:
        self._woken = True
        self._gatherer.flush()
        if self._ack_due and self._raw is not None:
            self._ack_due = False
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def drop(self, code: int, reason: str) -> None:
        """Close: what is pending is written first. A peer that doesn't answer the close in time is cut off."""
        if self._cut is None:
            self.closed_because = reason
            self._cut = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
            self.outbox.close(code, reason)

    def _stuck(self) -> None:
        self.drop(WSCloseCode.POLICY_VIOLATION, "does not read what it is sent")

    async def finish(self) -> None:
        """After `pump`: if it was us who closed, wait for the peer's answer. What it still sends is read, since a connection
        that ends with something unread is reset, and then the peer may never see why."""
        self.outbox.flush()
        self.outbox.closed = True
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._cut is not None:
            try:
                while (await self.ws.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    pass
            finally:
                self._cut.cancel()

    def acknowledge_quickly(self) -> None:
        """Send the TCP ack of this turn's messages at once, not with the next answer or after 40 ms.

        A peer with Nagle's algorithm on (Deno) holds its next message back until the last one is acknowledged.
        """
        self._ack_due = True


def _own_descriptor(transport: asyncio.Transport) -> socket.socket | None:
    """The connection once more, to set options on: uvloop's own view of it makes a new descriptor for every call."""
    theirs = transport.get_extra_info("socket")
    if theirs is None or theirs.family not in (socket.AF_INET, socket.AF_INET6) or not hasattr(socket, "TCP_QUICKACK"):
        return None
    return socket.socket(theirs.family, theirs.type, fileno=os.dup(theirs.fileno()))


def _why(message: object, ws: web.WebSocketResponse) -> str:
    data = getattr(message, "data", None)
    if isinstance(data, BaseException):
        return str(data) or type(data).__name__
    return "connection lost" if ws.close_code in (None, 1006) else f"closed with {ws.close_code}"


async def accept(
    request: web.Request, gatherer: Gatherer, *, max_message: int, unread_limit: int
) -> Socket | web.WebSocketResponse:
    """Shake hands. A peer that speaks none of our subprotocols is told which there are, and gets a closed socket."""
    ws = web.WebSocketResponse(protocols=codec.SUBPROTOCOLS, max_msg_size=max_message, compress=False, timeout=CLOSE_SECONDS)
    await ws.prepare(request)
    if ws.ws_protocol is None:
        await ws.close(code=WSCloseCode.PROTOCOL_ERROR, message=f"speak one of: {', '.join(codec.SUBPROTOCOLS)}".encode())
        return ws
    transport = request.transport
    if transport is None:
        return ws
    return Socket(ws, transport, gatherer, unread_limit)


def check_origin(request: web.Request, allows: Callable[[str], bool]) -> None:
    """A page of another origin may connect only when it is allowed. Raises 403."""
    origin = request.headers.get("Origin")
    if origin is None or is_own(request, origin) or allows(origin):
        return
    text = f"origin {origin[:200]} is not allowed here; the operator can add it to WASIMOFF_ALLOWED_ORIGINS\n"
    raise web.HTTPForbidden(text=text)
