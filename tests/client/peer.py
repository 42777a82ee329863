"""A real server that speaks as much of the wire as a test wants, and breaks it where a test wants: fault injection."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

Request = pb.Task.Wasip1.Request
Answer = Callable[["Link", int, Request], Awaitable[None] | None]


def ok(request: Request, stdout: bytes = b"", **fields: Any) -> pb.Task.Wasip1.Response:
    info = pb.Task.Metadata(id=request.info.id, provider="peer")
    return pb.Task.Wasip1.Response(info=info, ok=pb.Task.Wasip1.Output(status=0, stdout=stdout, **fields))


async def echo(link: Link, sequence: int, request: Request) -> None:
    """Answers with the arguments, or stdin when there is some."""
    stdout = request.params.stdin or " ".join(request.params.args).encode()
    await link.send(codec.response(sequence, ok(request, stdout)))


class Link:
    """One client's WebSocket."""

    def __init__(self, peer: Peer, ws: web.WebSocketResponse) -> None:
        self.peer = peer
        self.ws = ws

    async def send(self, frame: bytes) -> None:
        await self.ws.send_bytes(frame)

    async def wrote(self, sequence: int, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Tell what a task has written."""
        await self.send(codec.event(1, pb.Event.TaskOutput(request=sequence, stdout=stdout, stderr=stderr)))

    def drop(self) -> None:
        """As if the cable were cut."""
        transport = self.ws._req and self.ws._req.transport
        assert transport is not None
        transport.abort()


class Peer:
    """Scriptable: `answer` is called for each task; everything received is kept."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Answer = echo
        self.extension = True
        self.tasks: list[Request] = []
        self.cancels: list[str] = []
        self.frames: list[int] = []
        """Envelopes in each frame received."""
        self.connections = 0
        self.refuse_connections = False
        self.blobs: dict[str, bytes] = {}
        self.aliases: dict[str, str] = {}
        self.uploads = 0
        self.takes_data = True
        self.python: Callable[[web.Request], Awaitable[web.Response]] | None = None
        self.downloads: list[str] = []
        self.download: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.inputs: list[pb.Event.TaskInput] = []
        self.heard: Callable[[Link, pb.Event.TaskInput], Awaitable[None]] | None = None
        self.http_answer: Callable[[Request], web.Response] | None = None
        self.status: Any = {"version": "peer", "providers": [], "queue": {}, "tasks": {}}
        self.closed = asyncio.Event()
        self._site: web.TCPSite | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/api/client/ws", self._ws)
        app.router.add_post("/api/client/wasimoff.v1.Tasks/RunWasip1", self._connect)
        app.router.add_post("/api/client/wasimoff.v1.Tasks/RunPyodide", self._run_python)
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/status", self._status)
        app.router.add_post("/api/storage/upload", self._upload)
        app.router.add_route("HEAD", "/api/storage/{ref}", self._head)
        app.router.add_route("GET", "/api/storage/{ref}", self._download)
        return app

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuse_connections:
            raise web.HTTPServiceUnavailable
        ws = web.WebSocketResponse(protocols=codec.SUBPROTOCOLS, max_msg_size=2**20, compress=False)
        await ws.prepare(request)
        self.connections += 1
        link = Link(self, ws)
        async for message in ws:
            envelopes = list(codec.decode(message.data))
            self.frames.append(len(envelopes))
            for envelope in envelopes:
                await self._take(link, envelope)
        self.closed.set()
        return ws

    async def _take(self, link: Link, envelope: pb.Envelope) -> None:
        payload = codec.unpack(envelope)
        if isinstance(payload, pb.Event.TaskInput):
            self.inputs.append(payload)
            if self.heard is not None:
                await self.heard(link, payload)
            return
        if isinstance(payload, pb.Task.Cancel):
            self.cancels.append(payload.id)
            await link.send(codec.response(envelope.sequence, payload))
            return
        assert isinstance(payload, Request)
        self.tasks.append(payload)
        answer = self.answer(link, envelope.sequence, payload)
        if answer is not None:
            await answer

    async def _connect(self, request: web.Request) -> web.Response:
        message = Request.FromString(await request.read())
        self.tasks.append(message)
        if self.http_answer is not None:
            return self.http_answer(message)
        stdout = message.params.stdin or " ".join(message.params.args).encode()
        return web.Response(body=ok(message, stdout).SerializeToString(), content_type="application/proto")

    async def _run_python(self, request: web.Request) -> web.Response:
        assert self.python is not None
        return await self.python(request)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "peer", **({"extension": 1} if self.extension else {})})

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self.status)

    async def _head(self, request: web.Request) -> web.Response:
        name = request.match_info["ref"]
        ref = self.aliases.get(name, name)
        if ref not in self.blobs:
            return web.Response(status=404)
        return web.Response(headers={"X-Wasimoff-Ref": ref})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        ref = request.match_info["ref"]
        self.downloads.append(ref)
        if self.download is not None:
            return await self.download(request)
        if ref not in self.blobs:
            return web.Response(status=404, text="Ref not found in storage")
        return web.Response(body=self.blobs[ref])

    def store(self, content: bytes) -> str:
        """Keep it; gives the ref."""
        ref = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[ref] = content
        return ref

    async def _upload(self, request: web.Request) -> web.Response:
        body = await request.read()
        data = self.takes_data and request.query.get("media") == "application/octet-stream"
        if not data and not body.startswith((b"\0asm", b"PK")):
            return web.Response(status=415, text="neither wasm nor zip")
        self.uploads += 1
        ref = self.store(body)
        if "name" in request.query:
            self.aliases[request.query["name"]] = ref
        return web.Response(text=f"{ref}\n", headers={"X-Wasimoff-Ref": ref})

    async def stop_listening(self) -> None:
        assert self._site is not None
        await self._site.stop()


@asynccontextmanager
async def serve(peer: Peer, port: int = 0) -> Any:
    runner = web.AppRunner(peer.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    peer._site = web.TCPSite(runner, "127.0.0.1", port)
    await peer._site.start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()
