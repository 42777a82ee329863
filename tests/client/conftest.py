"""Fixtures: the scripted peer, and (in `stack`) the real broker with real providers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from .peer import Peer, serve
from .stack import Stack

WASM = b"\0asm\x01\0\0\0"


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serve(Peer()) as running:
        yield running


@pytest.fixture
def in_thread_peer() -> Iterator[Peer]:
    """The scripted peer on a thread of its own."""
    peer, ready, loop = Peer(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(peer):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(5)
    yield peer
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER", "WASIMOFF_BROKER", "WASIMOFF_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A real broker with one real native provider of two workers; tests leave it idle."""
    with Stack() as running:
        running.provider("native")
        yield running
