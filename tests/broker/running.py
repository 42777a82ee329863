"""The real broker in this process with short timings, and peers that do what a test says, over real TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from aiohttp import ClientSession, WSMsgType
from google.protobuf.message import Message

from broker.app import Broker
from broker.core.task import Standing
from broker.settings import Settings
from broker.values import Address
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

M = TypeVar("M", bound=Message)

WASM = b"\0asm\x01\0\0\0"
SOON = 20.0
"""Seconds within which everything happens, on a busy machine too."""
METHODS = "/api/client/wasimoff.v1.Tasks/"
Run = pb.Task.Wasip1.Request
Response = pb.Task.Wasip1.Response


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Broker]:
    """A broker on a free port, with its files in memory; checked and stopped in the end."""
    values = {"http_listen": Address("127.0.0.1", 0), "filestorage": None, "storage_limit": 1 << 30, "drain_seconds": 0.2}
    broker = Broker(Settings(**(values | settings)))
    await broker.start()
    try:
        yield broker
        broker.dispatcher.state.validate()
    finally:
        await broker.stop()


async def until(holds: Callable[[], Any], seconds: float = SOON) -> None:
    """Wait for what the test can only look at."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - of any state there is, in the middle of the broker
            await asyncio.sleep(0.002)


async def upload(broker: Broker, name: str | None = None, data: bytes = WASM) -> str:
    return (await broker.blobs.put(data, None, name)).ref


def task(ref: str, *args: str, id: str = "", **fields: Any) -> Run:
    request = Run(params=pb.Task.Wasip1.Params(binary=pb.File(ref=ref), args=args), **fields)
    if id:
        request.info.id = id
    return request


def output(request: Run, stdout: bytes = b"out", **fields: Any) -> Response:
    """What a provider answers."""
    ok = pb.Task.Wasip1.Output(status=0, stdout=stdout, **fields)
    return Response(info=pb.Task.Metadata(id=request.info.id), ok=ok)


class Closed(Exception):
    """The broker closed the socket, with this code and reason."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Peer:
    """One end of a WebSocket to the broker. Envelopes come one by one; `frames` remembers how many came in each frame."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.json = ws.protocol == codec.PROVIDER_JSON
        self.frames: list[int] = []
        self.patience: float | None = SOON
        self._waiting: list[pb.Envelope] = []
        self._sequence = 0

    async def send(self, *envelopes: bytes) -> None:
        for envelope in envelopes:
            if self.json:
                await self.ws.send_str(codec.encode_json(envelope))
            else:
                await self.ws.send_bytes(envelope)

    async def request(self, payload: Message) -> int:
        """The sequence under which the answer will come."""
        self._sequence += 1
        await self.send(codec.request(self._sequence, payload))
        return self._sequence

    async def next(self) -> pb.Envelope:
        """The next envelope of any kind. Raises Closed."""
        while not self._waiting:
            async with asyncio.timeout(self.patience):  # in Python 3.11 wait_for may swallow that it is cancelled
                message = await self.ws.receive()
            if message.type is WSMsgType.CLOSE:
                raise Closed(message.data, str(message.extra or ""))
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                raise Closed(self.ws.close_code, "")
            assert message.type is (WSMsgType.TEXT if self.json else WSMsgType.BINARY)
            found = list(codec.decode_json(message.data) if self.json else codec.decode(message.data))
            self.frames.append(len(found))
            self._waiting += found
        return self._waiting.pop(0)

    async def closed(self) -> Closed:
        """How the broker ends this connection, whatever it still sends before."""
        try:
            while True:
                await self.next()
        except Closed as closed:
            return closed

    async def lose(self) -> None:
        """As if the cable were cut."""
        transport = self.ws._response.connection and self.ws._response.connection.transport
        assert transport is not None
        transport.abort()


class Client(Peer):
    """Asks for tasks."""

    async def run(self, request: Message) -> pb.Envelope:
        sequence = await self.request(request)
        envelope = await self.next()
        assert (envelope.type, envelope.sequence) == (codec.RESPONSE, sequence)
        return envelope

    async def answer(self) -> Response:
        """The next response; what is told of input before is nothing here."""
        payload = codec.unpack(await self.next())
        while isinstance(payload, pb.Event.TaskInputTaken):
            payload = codec.unpack(await self.next())
        assert isinstance(payload, Response)
        return payload


class Provider(Peer):
    """Takes runs when it is told to; answers pings and listings by itself, and remembers the events it is told."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(ws)
        self.told: list[Message] = []
        self.pings = 0
        self.mute = False
        self.serving = False

    async def announce(self, slots: int, **fields: Any) -> None:
        await self.send(codec.event(0, pb.Event.ProviderResources(concurrency=slots, tasks=0, **fields)))

    async def asked(self, cls: type[M]) -> tuple[int, M]:
        """The next request of this class; anything else but pings, listings and events fails the test."""
        while True:
            envelope = await self.next()
            payload = codec.unpack(envelope)
            if envelope.type == codec.EVENT:
                self.told.append(payload)
            elif isinstance(payload, cls):
                assert envelope.type == codec.REQUEST
                return envelope.sequence, payload
            elif isinstance(payload, pb.Ping):
                self.pings += 1
                if not self.mute:
                    await self.send(codec.response(envelope.sequence, payload))
            elif isinstance(payload, pb.Task.Cancel) and self.serving:
                await self.send(codec.response(envelope.sequence, payload))
            else:
                assert isinstance(payload, pb.Filesystem.Listing.Request), payload
                await self.send(codec.response(envelope.sequence, pb.Filesystem.Listing.Response()))

    async def run(self) -> tuple[int, Run]:
        return await self.asked(Run)

    async def cancel(self) -> tuple[int, pb.Task.Cancel]:
        return await self.asked(pb.Task.Cancel)

    async def answer(self, sequence: int, response: Message) -> None:
        await self.send(codec.response(sequence, response))

    async def serve(self, stdout: bytes = b"out") -> None:
        """Answer everything, until the socket closes or the test ends."""
        self.serving = True
        self.patience = None
        try:
            while True:
                sequence, request = await self.run()
                await self.answer(sequence, output(request, stdout or " ".join(request.params.args).encode()))
        except Closed:
            pass


class World:
    """A broker, and connections to it that are closed in the end."""

    def __init__(self, broker: Broker, session: ClientSession) -> None:
        self.broker = broker
        self.state = broker.dispatcher.state
        self.http = session
        self.ref = ""
        self._work: list[asyncio.Task[None]] = []
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def connect(self, path: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        options = {"protocols": [codec.PROVIDER_BINARY], "max_msg_size": 0} | options
        ws = await self.http.ws_connect(self.broker.url.replace("http", "ws", 1) + path, **options)
        self._sockets.append(ws)
        return ws

    async def client(self, *, json: bool = False) -> Client:
        return Client(await self.connect("/api/client/ws", protocols=[codec.SUBPROTOCOLS[json]]))

    async def greeting(self, name: str = "", *, json: bool = False) -> Provider:
        """A provider that is connected and has said nothing yet."""
        query = f"?id={name}" if name else ""
        return Provider(await self.connect(f"/api/provider/ws{query}", protocols=[codec.SUBPROTOCOLS[json]]))

    async def provider(self, name: str = "p", slots: int = 1, *, json: bool = False, **fields: Any) -> Provider:
        """A provider that may be dispatched to."""
        known = set(self.state.providers)
        provider = await self.greeting(name, json=json)
        sequence, _ = await provider.asked(pb.Filesystem.Listing.Request)
        await provider.announce(slots, **fields)
        await provider.answer(sequence, pb.Filesystem.Listing.Response())
        await until(lambda: any(p.standing is Standing.READY for n, p in self.state.providers.items() if n not in known))
        return provider

    def serve(self, provider: Provider, stdout: bytes = b"out") -> None:
        """Let a provider answer everything beside the test."""
        self._work.append(asyncio.create_task(provider.serve(stdout)))

    async def post(self, method: str, message: Message, **headers: str) -> tuple[int, bytes]:
        """Connect with protobuf: status and body."""
        given = {"Content-Type": "application/proto"} | {name.replace("_", "-"): text for name, text in headers.items()}
        url = self.broker.url + METHODS + method
        async with self.http.post(url, data=message.SerializeToString(), headers=given) as response:
            return response.status, await response.read()

    async def close(self) -> None:
        for work in self._work:
            work.cancel()
        found = await asyncio.gather(*self._work, return_exceptions=True)
        for ws in self._sockets:
            ws._response.close()
        for result in found:
            if isinstance(result, Exception):
                raise result


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[World]:
    """A running broker that holds one program, and what connects to it."""
    async with running(**settings) as broker, ClientSession() as session:
        found = World(broker, session)
        found.ref = await upload(broker, "app")
        try:
            yield found
        finally:
            await found.close()
