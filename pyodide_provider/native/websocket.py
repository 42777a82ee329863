"""The WebSocket to the broker. Imports aiohttp; runs on asyncio or uvloop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from ..core.events import Event, LinkLost, LinkOpened
from ..errors import UsageError
from ..wire import codec

MAX_MESSAGE = 64 << 20
"""Bytes of one frame that is taken."""
MAX_WAITING = 256 << 20
"""Bytes that may wait to be sent; a broker that reads so little is left."""
CONNECTING = 20.0
"""Seconds that connecting may take."""
CLOSING = 2.0
"""Seconds that a broker may take to answer a close."""
LINGERING = 15.0
"""Seconds after a close in which what was sent before must have left."""
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def base_url(url: str) -> str:
    """The broker's address as http(s)://host:port/path, without a slash at its end. Raises UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    scheme = {"ws": "http", "wss": "https"}.get(SCHEMES.get(parts.scheme, ""))
    try:
        bad = not scheme or not parts.hostname or (parts.port is not None and parts.port < 1)
    except ValueError:
        bad = True
    if bad or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the address of a broker; give one like http://localhost:4080")
    return urlunsplit((scheme or "", parts.netloc, parts.path.rstrip("/"), "", ""))


def socket_url(base: str, name: str) -> str:
    """Where providers connect; `name` is for people and need not be unique."""
    parts = urlsplit(base)
    query = urlencode({"id": name}) if name else ""
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, f"{parts.path}/api/provider/ws", query, ""))


class WebSocket:
    """`ports.Transport`. `feed` and `receive` are the runtime's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.feed: Callable[[Event], None] = _nobody
        self.receive: Callable[[bytes], None] = _nobody
        self._link: _Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        self._link = link = _Link(self.url, self)
        link.task = asyncio.get_running_loop().create_task(link.live())
        self._tasks.add(link.task)
        link.task.add_done_callback(self._tasks.discard)

    def send(self, frame: bytes) -> None:
        if self._link is not None:
            self._link.send(frame)

    def unsent(self) -> int:
        return self._link.unsent if self._link is not None else 0

    def close(self, code: int, reason: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close(code, reason)

    async def wait_closed(self) -> None:
        """Until what was sent has left and all sockets are closed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # What a link says; one that was closed is not heard.

    def _opened(self, link: _Link) -> None:
        if link is self._link:
            self.feed(LinkOpened())

    def _received(self, link: _Link, frame: bytes) -> None:
        if link is self._link:
            self.receive(frame)

    def _lost(self, link: _Link, reason: str) -> None:
        if link is self._link:
            self._link = None
            self.feed(LinkLost(reason))


class _Link:
    """One socket, from its opening to its end."""

    def __init__(self, url: str, owner: WebSocket) -> None:
        self.task: asyncio.Task[None] | None = None
        self._url = url
        self._owner = owner
        self._waiting: deque[bytes] = deque()
        self.unsent = 0
        """Bytes that wait to be written."""
        self._wake = asyncio.Event()
        self._open = False
        self._closing: tuple[int, bytes] | None = None
        self._fault = ""

    def send(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self.unsent += len(frame)
        self._wake.set()
        if self.unsent > MAX_WAITING and not self._fault:
            self._fault = f"the broker reads nothing: {self.unsent >> 20} MiB wait for it"
            self._cancel()

    def close(self, code: int, reason: str) -> None:
        """Close when what was sent has left; give it up when that takes too long, or nothing could be sent."""
        if self._closing is None:
            self._closing = code, reason.encode()[:120].decode("utf-8", "ignore").encode()
            self._wake.set()
            if self._open:
                asyncio.get_running_loop().call_later(LINGERING, self._cancel)
            else:
                self._cancel()

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def live(self) -> None:
        reason = "given up"
        try:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                reason = await self._talk(session)
        except aiohttp.WSServerHandshakeError as error:
            reason = f"{error.message} (HTTP {error.status})"
        except TimeoutError:
            reason = f"no answer within {CONNECTING:.0f} s"
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
        except asyncio.CancelledError:
            # Only our own `_cancel` does this.
            pass
        self._owner._lost(self, self._fault or reason)

    async def _talk(self, session: aiohttp.ClientSession) -> str:
        async with asyncio.timeout(CONNECTING):
            ws = await session.ws_connect(
                self._url,
                protocols=(codec.PROVIDER_BINARY,),
                max_msg_size=MAX_MESSAGE,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING),
            )
        if ws.protocol != codec.PROVIDER_BINARY:
            await ws.close(code=1002, message=b"no subprotocol in common")
            return f"not a broker: it does not speak {codec.PROVIDER_BINARY}"
        self._open = True
        writer = asyncio.get_running_loop().create_task(self._write(ws))
        try:
            self._owner._opened(self)
            reason = await self._read(ws)
            if self._closing is None:
                writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, aiohttp.ClientError):
                await writer
            return reason
        finally:
            writer.cancel()
            # Without it the session would wait until all that was written has left, which may be never.
            await ws.close()

    async def _read(self, ws: ClientWebSocketResponse) -> str:
        while True:
            message = await ws.receive()
            if message.type is WSMsgType.BINARY:
                self._owner._received(self, message.data)
            elif message.type is WSMsgType.TEXT:
                await ws.close(code=1003, message=b"binary frames only")
                return "the broker sent a text frame"
            elif message.type is WSMsgType.ERROR:
                return f"the connection broke: {message.data}"
            elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                extra = f": {message.extra}" if message.extra else ""
                return f"the broker closed the connection ({ws.close_code}{extra})"

    async def _write(self, ws: ClientWebSocketResponse) -> None:
        waiting = self._waiting
        while True:
            while waiting:
                frame = waiting.popleft()
                self.unsent -= len(frame)
                await ws.send_bytes(frame)
            if self._closing is not None:
                code, message = self._closing
                await ws.close(code=code, message=message)
                return
            self._wake.clear()
            await self._wake.wait()


def _nobody(said: Event | bytes) -> None:
    raise AssertionError(f"{type(said).__name__} before the runtime was there")
