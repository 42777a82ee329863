"""Calls over one WebSocket to the broker: multiplexed, gathered, reconnecting. Imports aiohttp, the wire, `calls`.

A call lost with its connection is sent again on the next one; a cancelled call is cancelled on the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TypeAlias

import aiohttp
from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire.errors import PeerError

from . import dial, messages
from .backoff import Patience
from .calls import Call, Calls
from .errors import BrokerError, BrokerUnavailable, WasimoffError, from_text
from .live import Live
from .version import Version

MAX_MESSAGE = 256 * 2**20
"""Bytes of one frame that we take."""
MAX_FRAME = 256 * 2**10
"""Bytes after which a frame takes no further envelope."""
MAX_ENVELOPES = 256
"""Envelopes in one frame that we send, at most."""
SILENCE = 20.0
"""Seconds between our pings; half of it without a pong means that the connection is dead."""

DIAL = 30.0
"""Seconds that a broker may take to open a connection."""
LIVED = 5.0
"""Seconds after which a connection counts as a good one, even if it brought no answer."""

Answer: TypeAlias = "asyncio.Future[Message]"
Sent: TypeAlias = "Call[Message, Answer]"


class WebSocketLink:
    """A `Transport` over `/api/client/ws`. It connects when first called and lives on one event loop."""

    def __init__(self, session: aiohttp.ClientSession, url: str, patience: float, version: Version) -> None:
        self._session = session
        self._url = url
        self._seconds = patience
        self._version = version
        self._calls: Calls[Message, Answer] = Calls()
        self._live: dict[Sent, Live] = {}
        """Those that are followed or talked to."""
        self._talking: deque[Sent] = deque()
        """Calls that have a piece of stdin to send, as often as they have pieces."""
        self._events = 0
        """Sent on this connection."""
        self._cancels: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._driver: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._batching = False
        self._heard = False
        """Whether this connection has brought an answer yet."""
        self._connected = False
        """Whether there ever was a connection."""

    async def call(self, request: Message, task: str, live: Live | None = None) -> Message:
        """Send a request, wait for its response; `live` hears what the task writes meanwhile, and says its stdin.

        Raises BrokerError (the broker's error) and BrokerUnavailable (no connection). Cancelling cancels the task.
        """
        call: Sent = Call(request, task, asyncio.get_running_loop().create_future())
        if live is not None:
            self._attend(call, live)
        self._calls.add(call)
        self._wake.set()
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive(), name="wasimoff link")
        try:
            return await call.answer
        except asyncio.CancelledError:
            if self._calls.withdraw(call):
                self._cancels.append(messages.cancel(task, "cancelled by the client"))
                self._wake.set()
            raise
        finally:
            self._live.pop(call, None)

    def _attend(self, call: Sent, live: Live) -> None:
        def poke() -> None:
            self._talking.append(call)
            self._wake.set()

        call.once = live.interactive
        live.poke = poke
        self._live[call] = live
        self._talking.extend([call] * live.waiting)

    async def close(self) -> None:
        """Cancel on the broker what is still waited for, close the connection, end."""
        self._cancels.extend(messages.cancel(call.id, "the client was closed") for call in self._calls.sent())
        self._fail(self._calls.clear(), BrokerUnavailable("the client was closed"))
        if self._socket is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(2):
                    while (frame := self._gather()) is not None:
                        await self._socket.send_bytes(frame)
        tasks = [task for task in (self._driver, self._probe) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(self) -> None:
        """Connect, converse, connect again, as long as there is something to call for."""
        try:
            await self._keep_connected()
        except WasimoffError as error:
            self._fail(self._calls.clear(), error)
        except Exception as error:
            self._fail(self._calls.clear(), BrokerError(f"the client broke: {error!r}", "internal"))
        finally:
            self._driver = None

    async def _keep_connected(self) -> None:
        patience = Patience(self._seconds)
        now = asyncio.get_running_loop().time
        while len(self._calls):
            started, self._heard = now(), False
            try:
                reason = await self._converse()
            except BrokerUnavailable as error:
                if not self._connected:
                    raise
                reason = str(error)
            if self._heard or now() - started > LIVED:
                patience.reset()
            self._cancels.clear()  # the broker cancels what a lost client asked
            self._events = 0
            self._resend(reason)
            if not len(self._calls):
                return
            pause = patience.pause(now())
            if pause is None:
                words = f"lost the broker at {self._url} and could not get it back within {self._seconds:g} s"
                raise BrokerUnavailable(f"{words}: {reason}")
            await asyncio.sleep(pause)

    def _resend(self, reason: str) -> None:
        """What was on its way goes again, but for what was sent too often or is too large."""
        if reason.startswith(f"closed with {aiohttp.WSCloseCode.MESSAGE_TOO_BIG.value}"):
            call = max(self._calls.sent(), key=lambda call: call.request.ByteSize(), default=None)
            if call is not None:
                self._calls.withdraw(call)
                text = f"the task's message has {call.request.ByteSize()} bytes, more than the broker takes ({reason}): "
                self._fail([call], BrokerError(text + "put large input into a rootfs", "invalid_argument"))
        for call in self._calls.lost(reason):
            story = "; ".join(dict.fromkeys(call.reasons))
            often = f"each of the {call.sent} times the task was sent"
            what = "and a task that is talked to is not sent again" if call.once else often
            text = f"the connection was lost {what} ({story})"
            self._fail([call], BrokerError(text, "unavailable"))

    def _fail(self, calls: list[Call[Message, Answer]], error: WasimoffError) -> None:
        for call in calls:
            if not call.answer.done():
                call.answer.set_exception(error)

    async def _converse(self) -> str:
        """One connection from its start to its end; gives the reason of its end. Raises BrokerUnavailable."""
        async with await self._open() as socket:
            self._connected, self._socket = True, socket
            writer = asyncio.create_task(self._write(socket), name="wasimoff writer")
            try:
                return await self._read(socket)
            finally:
                self._socket = None
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        with dial.in_words(self._url):
            async with asyncio.timeout(DIAL):
                socket = await self._session.ws_connect(
                    f"{self._url}/api/client/ws",
                    protocols=(codec.PROVIDER_BINARY,),
                    heartbeat=SILENCE,
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        if socket.protocol != codec.PROVIDER_BINARY:
            await socket.close()
            raise BrokerUnavailable(f"{self._url} does not speak {codec.PROVIDER_BINARY}: is it a wasimoff broker?")
        return socket

    # Out

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                self._wake.clear()
                while (frame := self._gather()) is not None:
                    await socket.send_bytes(frame)
                await self._wake.wait()

    def _gather(self) -> bytes | None:
        """The next frame: everything that waits, when the broker takes it; None: nothing waits."""
        if not self._batching:
            if self._calls.waiting > 1 and self._probe is None:
                self._probe = asyncio.create_task(self._ask_version(), name="wasimoff version")
            return self._envelope()
        envelopes: list[bytes] = []
        size = 0
        while size < MAX_FRAME and len(envelopes) < MAX_ENVELOPES and (envelope := self._envelope()) is not None:
            envelopes.append(envelope)
            size += len(envelope)
        if len(envelopes) < 2:
            return envelopes[0] if envelopes else None
        return codec.batch(envelopes)

    def _envelope(self) -> bytes | None:
        call = self._calls.next()
        if call is not None:
            if (live := self._live.get(call)) is not None:
                live.sent()
            return codec.request(call.sequence, call.request)
        if self._cancels:
            return codec.request(self._calls.next_sequence(), self._cancels.popleft())
        return self._input() if self._talking else None

    def _input(self) -> bytes | None:
        """A piece of stdin for a task that is waited for still; it is sent by now, since what waits in line goes first."""
        while self._talking:
            call = self._talking.popleft()
            live = self._live.get(call)
            piece = live.next_input() if live is not None else None
            if piece is not None:
                self._events += 1
                return codec.event(self._events, messages.task_input(call.sequence, *piece))
        return None

    async def _ask_version(self) -> None:
        self._batching = await self._version.extension()

    # In

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                try:
                    self._take(message.data)
                except PeerError as error:
                    await socket.close(code=1002, message=str(error).encode()[:120])
                    return f"the broker sent garbage: {error}"
            elif message.type is aiohttp.WSMsgType.TEXT:
                await socket.close(code=1003)
                return "the broker sent text where bytes were agreed"
            else:
                return dial.why_closed(socket, message)

    def _take(self, frame: bytes) -> None:
        """Hand every answer in a frame to who waits for it. Raises PeerError."""
        for envelope in codec.decode(frame):
            if envelope.type == codec.EVENT:
                if self._live:
                    self._hear(envelope)
                continue  # other events tell of the cluster; nobody here asked
            if envelope.type != codec.RESPONSE:
                continue
            call = self._calls.answered(envelope.sequence)
            if call is None or call.answer.done():
                continue
            self._heard = True
            if envelope.error:
                call.answer.set_exception(from_text(envelope.error))
                continue
            try:
                call.answer.set_result(codec.unpack(envelope))
            except PeerError as error:
                call.answer.set_exception(BrokerError(f"the broker's answer can't be read: {error}", "internal"))

    def _hear(self, envelope: messages.Envelope) -> None:
        """What a task has written or read; nobody minds an event that can't be read: the Result holds all output."""
        event = messages.told(envelope)
        call = self._calls.of(event.request) if event is not None else None
        live = self._live.get(call) if call is not None else None
        if event is None or live is None:
            return
        self._heard = True
        if isinstance(event, messages.TaskOutput):
            live.wrote(event.stdout, event.stderr)
        else:
            live.took(event.taken)
