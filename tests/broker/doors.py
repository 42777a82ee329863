"""Routes behind a real socket, as the broker serves them, and a client that writes its bytes itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from broker import pages
from broker.settings import Settings


@asynccontextmanager
async def serving(routes: Iterable[web.RouteDef], settings: Settings) -> AsyncIterator[str]:
    """The base URL of a server that is closed in the end."""
    app = web.Application(middlewares=pages.middlewares(settings))
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass
class Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> Answer:
    """The next response of a connection."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
    headers = CIMultiDict(line.split(": ", 1) for line in head[1:] if line)
    body = await asyncio.wait_for(reader.readexactly(int(headers.get("Content-Length", "0"))), 20)
    return Answer(int(head[0].split()[1]), headers, body)
