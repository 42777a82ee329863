"""A broker of one connection at a time, that does what a test says: a real WebSocket server, real frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web
from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

PATIENCE = 20.0


class TinyBroker:
    """Keeps what providers say; `listing` is asked of each that connects, as a broker does."""

    def __init__(self) -> None:
        self.url = ""
        self.names: list[str] = []
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.blobs: dict[str, bytes] = {}
        self.closes: list[tuple[int | None, str]] = []
        self.refuse = 0
        """Answer this HTTP status instead of a WebSocket."""
        self._said: asyncio.Queue[pb.Envelope] = asyncio.Queue()
        self._socket: web.WebSocketResponse | None = None
        self._sequence = 0

    async def connect(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=self.refuse)
        self.names.append(request.query.get("id", ""))
        ws = web.WebSocketResponse(protocols=codec.SUBPROTOCOLS, max_msg_size=64 << 20, compress=False)
        await ws.prepare(request)
        self._sequence = 0
        self.sockets.put_nowait(ws)
        async for message in ws:
            assert message.type is WSMsgType.BINARY, message
            for envelope in codec.decode(message.data):
                self._said.put_nowait(envelope)
        self.closes.append((ws.close_code, ""))
        return ws

    async def storage(self, request: web.Request) -> web.Response:
        blob = self.blobs.get(request.match_info["ref"])
        return web.Response(body=blob) if blob is not None else web.Response(status=404)

    async def joined(self) -> pb.Event.ProviderResources:
        """Wait for a provider, shake hands, give what it announced first."""
        async with asyncio.timeout(PATIENCE):
            self._socket = await self.sockets.get()
            while not self._said.empty():
                self._said.get_nowait()
            await self.ask(pb.Filesystem.Listing.Request())
            resources = codec.unpack(await self.hear())
            assert isinstance(resources, pb.Event.ProviderResources)
            assert isinstance(codec.unpack(await self.hear()), pb.Filesystem.Listing.Response)
            return resources

    async def hear(self) -> pb.Envelope:
        async with asyncio.timeout(PATIENCE):
            return await self._said.get()

    async def answer(self) -> pb.Envelope:
        """The next response; events between are passed over."""
        while True:
            envelope = await self.hear()
            if envelope.type == codec.RESPONSE:
                return envelope

    async def ask(self, payload: Message) -> int:
        self._sequence += 1
        await self.send(codec.request(self._sequence, payload))
        return self._sequence

    async def send(self, frame: bytes) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(frame)

    async def close(self, code: int = 1001) -> None:
        assert self._socket is not None
        await self._socket.close(code=code, message=b"going away")


@asynccontextmanager
async def tiny_broker(port: int = 0) -> AsyncIterator[TinyBroker]:
    broker = TinyBroker()
    app = web.Application()
    app.router.add_get("/api/provider/ws", broker.connect)
    app.router.add_get("/api/storage/{ref}", broker.storage)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    broker.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield broker
    finally:
        await runner.cleanup()


def task(name: str, blob: bytes, *args: str, stdin: bytes = b"") -> pb.Task.Wasip1.Request:
    request = pb.Task.Wasip1.Request()
    request.info.id = name
    request.params.binary.blob = blob
    request.params.args[:] = ["prog", *args]
    request.params.stdin = stdin
    return request
