"""Builds the broker: the only place that makes objects and knows them all."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from importlib.metadata import version
from itertools import count

from aiohttp import web

from broker import blobs_api, metrics, pages, pip, python_packages, run_api, status, tasks_api
from broker.blobs import Blobs
from broker.client_socket import ClientSocket
from broker.core.task import Provider
from broker.dispatcher import Dispatcher
from broker.errors import UsageError
from broker.front import IDLE_SECONDS, Door
from broker.inlining import Inlining
from broker.jobs import Jobs
from broker.outbox import Gatherer
from broker.params import Caps
from broker.provider_socket import ProviderSocket
from broker.pyodide_index import PyodideIndex
from broker.python_packages import PythonPackages
from broker.settings import PUBLIC_INDEX, Settings
from broker.sockets import Socket, accept, check_origin
from broker.tasks import Tasks

log = logging.getLogger("broker")

VERSION = version("wasimoff")

SETTLE_SECONDS = 2.0
"""On the way down, for jobs and uploads that came over WebSockets to be answered."""
UNREAD = 16 << 20
"""Bytes that a peer may leave unread, beyond one message for a client and all that waits for a provider, which may be given
all of it at once."""


class Broker:
    """A running broker: `await start()`, then `await stop()`, which drains. `url` is known after the start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        self._provider_numbers = count(1)
        self._client_numbers = count(1)
        self._clients: set[ClientSocket] = set()

    async def start(self) -> None:
        """Raises UsageError when the settings can't work (port taken, data directory not writable, bad certificate)."""
        settings = self.settings
        context = settings.tls()
        self.blobs = await Blobs.open(settings)
        self.packages = PythonPackages(settings.filestorage / "wheels" if settings.filestorage else None, _index(settings))
        inlining = Inlining(self.blobs, settings.max_message)
        self.dispatcher = Dispatcher(settings.policy(), inlining)
        self._gatherer = Gatherer()
        self.tasks = Tasks(self.dispatcher, self.blobs, Caps(settings), inlining)
        self.jobs = Jobs(self.tasks, self.blobs, settings.max_job, settings.queue_bytes)
        app = web.Application(client_max_size=settings.max_body, middlewares=pages.middlewares(settings))
        app.add_routes(self._routes())
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=2.0, keepalive_timeout=IDLE_SECONDS
        )
        await self._runner.setup()
        host, port = settings.http_listen
        try:
            self._server = await self._listen(host, port, context)
        except OSError as error:
            await self._close()
            # uvloop's own words say the address once more; those of getaddrinfo have numbers below 0.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else error.strerror or error
            raise UsageError(f"can't listen on {settings.http_listen}: {why}") from None
        host = host or "localhost"
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _listen(self, host: str | None, port: int, context: ssl.SSLContext | None) -> asyncio.Server:
        server = self._runner.server
        assert server is not None
        self._door = Door(server, self.tasks, self._gatherer)
        return await asyncio.get_running_loop().create_server(self._door, host, port, ssl=context, backlog=1024)

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/provider/ws", self._serve_provider),
            web.get("/api/client/ws", self._serve_client),
            *tasks_api.routes(self.tasks, self.jobs),
            *run_api.routes(self.tasks, self.blobs, self.settings),
            *blobs_api.routes(self.blobs, self.settings),
            *python_packages.routes(self.packages),
            *status.routes(self.dispatcher, VERSION),
            *metrics.routes(self.dispatcher, self.blobs, self.settings.metrics),
            *pages.routes(self.settings, VERSION),
        ]

    async def _accept(self, request: web.Request, connected: int, limit: int, unread: int) -> Socket | web.WebSocketResponse:
        check_origin(request, self.settings.allows_origin)
        if connected >= limit or self.dispatcher.state.draining:
            why = "shutting down" if self.dispatcher.state.draining else f"{connected} connections are open, the limit"
            raise web.HTTPServiceUnavailable(text=f"{why}; try again later\n", headers={"Retry-After": "5"})
        return await accept(request, self._gatherer, max_message=self.settings.max_message, unread_limit=UNREAD + unread)

    async def _serve_provider(self, request: web.Request) -> web.WebSocketResponse:
        socket = await self._accept(request, len(self.dispatcher.links), self.settings.max_providers, self.settings.queue_bytes)
        if not isinstance(socket, Socket):
            return socket
        number = next(self._provider_numbers)
        name = request.query.get("id", "")[:100] or f"provider-{number}"
        provider = Provider(number, name, request.remote or "local", self.dispatcher.now())
        await ProviderSocket(socket, provider, self.dispatcher, self._holds).serve()
        return socket.ws

    def _holds(self, ref: str) -> bool:
        """Whether a ref, and not a name, is in our storage."""
        return self.blobs.resolve(ref) == ref

    async def _serve_client(self, request: web.Request) -> web.WebSocketResponse:
        socket = await self._accept(request, len(self._clients), self.settings.max_clients, self.settings.max_message)
        if not isinstance(socket, Socket):
            return socket
        requester = f"{request.remote or 'local'}#{next(self._client_numbers)}"
        client = ClientSocket(socket, requester, self.tasks, self.jobs)
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)
        return socket.ws

    async def stop(self) -> None:
        """Stop accepting, drain, close the sockets with 1001, put the storage away."""
        self._server.close()
        await self.dispatcher.drain(self.settings.drain_seconds)
        await asyncio.gather(*(client.settle(SETTLE_SECONDS) for client in self._clients))
        for client in list(self._clients):
            client.drop(1001, "the broker is shutting down")
        self._door.close()
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        self.dispatcher.close()
        await self.blobs.close()
        await self.packages.close()


def _index(settings: Settings) -> PyodideIndex | None:
    """Pyodide's own packages; what the public index lists is known from the Pyodide that the pages load."""
    if not settings.pyodide_index:
        return None
    shipped = pages.pyodide_lock() if settings.pyodide_index == PUBLIC_INDEX else None
    return PyodideIndex(settings.pyodide_index, pip.PYTHON, pip.ABI, shipped)
