"""Fixtures: the scripted peer, and (in `stack`) the real broker with real providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from .peer import Peer, serve
from .stack import Stack

WASM = b"\0asm\x01\0\0\0"


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serve(Peer()) as running:
        yield running


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
