"""What provider and client sockets share: the handshake, frames to envelopes, and the end. Imports the wire and aiohttp."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable

from aiohttp import WSCloseCode, WSMsgType, web

from broker.inbox import WebSocket
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

    def __init__(self, ws: WebSocket, transport: asyncio.Transport, gatherer: Gatherer, unread_limit: int) -> None:
        self.ws = ws
        self._gatherer = gatherer
        self.json = ws.ws_protocol == codec.PROVIDER_JSON
        self.outbox = Outbox(transport, gatherer, json=self.json, limit=unread_limit, stuck=self._stuck)
        self.closed_because = ""
        self._transport = transport
        self._receive: Callable[[pb.Envelope], None] = _nobody
        self._cut: asyncio.TimerHandle | None = None
        """Set when we have closed: the peer has until then to answer."""
        self._ack_due = False
        self._raw = _own_descriptor(transport)

    async def pump(self, receive: Callable[[pb.Envelope], None]) -> str:
        """Give every envelope to `receive`, in order, until the socket ends; the reason comes back, in words."""
        ws = self.ws
        self._receive = receive
        wanted = WSMsgType.TEXT if self.json else WSMsgType.BINARY
        if not self.json:
            ws.inbox.deliver = self._deliver
        try:
            while self._cut is None:
                message = await ws.receive()
                if self._cut is not None:
                    break
                if message.type is wanted:
                    self._take(await self._decode_json(message.data) if self.json else codec.decode(message.data))
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self.drop(WSCloseCode.UNSUPPORTED_DATA, f"{ws.ws_protocol} carries {wanted.name.lower()} frames")
                else:
                    return _why(message, ws)
        except PeerError as error:
            self.drop(WSCloseCode.INTERNAL_ERROR, str(error))
        finally:
            ws.inbox.deliver = None
        return self.closed_because

    def _deliver(self, frame: bytes) -> None:
        """One frame, from where it was parsed: nobody there would know what to do with an exception."""
        if self._cut is not None:
            return
        try:
            self._take(codec.decode(frame))
        except PeerError as error:
            self.drop(WSCloseCode.INTERNAL_ERROR, str(error))
        except Exception:
            log.exception("a message could not be handled")
            self.drop(WSCloseCode.INTERNAL_ERROR, "something went wrong in the broker; its log says what")
        self._gatherer.handled()

    def _take(self, envelopes: Iterable[pb.Envelope]) -> None:
        for envelope in envelopes:
            self._receive(envelope)

    async def _decode_json(self, text: str) -> Iterable[pb.Envelope]:
        if len(text) < LARGE_JSON:
            return codec.decode_json(text)
        # A megabyte may take a second: everybody else is served meanwhile.
        return await asyncio.to_thread(codec.decode_json, text)

    def drop(self, code: int, reason: str) -> None:
        """Close: what is pending is written first. A peer that doesn't answer the close in time is cut off."""
        if self._cut is None:
            self.closed_because = reason
            self._cut = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
            self.outbox.close(code, reason)
            self.ws.inbox.wake()

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
        elif self.ws.broken and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            await asyncio.sleep(CLOSE_SECONDS)  # or until it is gone, which cancels us

    def acknowledge_quickly(self) -> None:
        """Send the TCP ack of this burst's messages at once, not with the next answer or after 40 ms.

        A peer with Nagle's algorithm on (Deno) holds its next message back until the last one is acknowledged.
        """
        if not self._ack_due:
            self._ack_due = True
            self._gatherer.at_end(self._acknowledge)

    def _acknowledge(self) -> None:
        self._ack_due = False
        if self._raw is not None:
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _nobody(_: pb.Envelope) -> None:
    """Before `pump`, nobody takes anything."""


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
    ws = WebSocket(protocols=codec.SUBPROTOCOLS, max_msg_size=max_message, compress=False, timeout=CLOSE_SECONDS)
    try:
        await ws.prepare(request)
    except ConnectionError:  # gone already
        return ws
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
