"""A WebSocket of aiohttp's whose binary messages are handed over the moment they are parsed. Imports aiohttp.

aiohttp puts each message into a queue, wakes the reader's task on the loop's next turn, and takes it through two coroutines.
Here the reader is called from where the bytes came in: a turn of the loop less for each message that comes alone, and
some microseconds less for each of a burst (`bench/broker.py`). All else (text, control frames, errors, the end) goes its way.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import WebSocketError, WSMessage, WSMsgType, web
from aiohttp._websocket.models import WSMessageTextBytes
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.http_websocket import WebSocketWriter
from aiohttp.web_request import BaseRequest

LIMIT = 1 << 16
"""Bytes of messages that may wait in the queue, before reading pauses."""
WAKE = WSMessage(WSMsgType.BINARY, b"", "")


class Inbox(WebSocketDataQueue):
    """`deliver` gets binary messages directly once it is set, as soon as those that came before are taken out."""

    deliver: Callable[[bytes], None] | None = None

    def feed_data(self, data: WSMessage | WSMessageTextBytes, size: int) -> None:
        if data[0] is WSMsgType.BINARY and self.deliver is not None and not self._buffer:
            self.deliver(data[1])
        else:
            super().feed_data(data, size)

    def wake(self) -> None:
        """Let a `receive` that waits return, with an empty message."""
        super().feed_data(WAKE, 0)


class WebSocket(web.WebSocketResponse):
    """aiohttp's, with an Inbox for a queue. What a peer broke is `broken`; the connection stays open then."""

    inbox: Inbox

    @property
    def broken(self) -> bool:
        return isinstance(self.inbox.exception(), WebSocketError)

    def _close_transport(self) -> None:
        # aiohttp cuts a peer off as soon as its frame is too large, say. That would reset the connection, since the rest of the
        # frame is on its way, and the peer might never read why.
        if not self.broken:
            super()._close_transport()

    def _post_start(self, request: BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        # As aiohttp 3.14 has it, which makes its own queue here; without its heartbeat, which we don't use.
        assert self._loop is not None
        self._ws_protocol = protocol
        self._writer = writer
        self._reader = self.inbox = Inbox(request.protocol, LIMIT, loop=self._loop)
        self._parser = WebSocketReader(self.inbox, self._max_msg_size, compress=False, decode_text=True)
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)
