"""The link to the broker: the tab's WebSocket. Imports the core's events."""

from __future__ import annotations

from collections.abc import Callable

from ..core.events import Event, LinkLost, LinkOpened
from .host import JsBytes, JsHost, Keep


class BrowserTransport:
    """`ports.Transport` on a JavaScript WebSocket; `feed` gets events, `receive` frames."""

    def __init__(self, js_host: JsHost, keep: Keep) -> None:
        js_socket = js_host.socket
        self._room = js_host.room
        self._open, self._send, self._close = js_socket.open, js_socket.send, js_socket.close
        self.unsent = js_socket.unsent
        self.feed: Callable[[Event], None]
        self.receive: Callable[[bytes], None]
        js_socket.listen(keep(self._opened), keep(self._frame), keep(self._lost))

    def open(self) -> None:
        self._open()

    def send(self, frame: bytes) -> None:
        js_frame = self._room(len(frame))
        js_frame.assign(frame)
        self._send(js_frame)

    def close(self, code: int, reason: str) -> None:
        self._close(code, reason)

    def _opened(self) -> None:
        self.feed(LinkOpened())

    def _frame(self, js_frame: JsBytes) -> None:
        self.receive(js_frame.to_bytes())

    def _lost(self, reason: str) -> None:
        self.feed(LinkLost(reason))
