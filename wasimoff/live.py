"""A task that is followed, and perhaps talked to, while it runs: between the link, which sends and hears, and who iterates.

Imports asyncio and `following`. Lives on one event loop.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable

from .following import Following

PIECE = 64 * 2**10
"""Bytes of one piece of stdin, at most."""
AHEAD = 16
"""Pieces of stdin that wait to be sent, at most."""
WINDOW = 2 * 2**20
"""Bytes of stdin that may be sent before the task has read them."""
SILENCE = 10.0
"""Seconds after which a broker that has said nothing of what was read is taken not to say it at all."""


class Live:
    """What a link needs to know of a task while it runs. `interactive`: its stdin comes piece by piece."""

    def __init__(self, interactive: bool = False) -> None:
        self.interactive = interactive
        self.following = Following()
        self.changed = asyncio.Event()
        """There may be something to take."""
        self.poke: Callable[[], None] = lambda: None
        """Set by the link: there is input to send."""
        self._inputs: deque[tuple[bytes, bool]] = deque()
        self._given = 0
        self._taken: int | None = None
        """Bytes of it that the task has read, as far as that was told."""
        self._bounded = True
        self._room = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Pieces of stdin that are not sent."""
        return len(self._inputs)

    def sent(self) -> None:
        """By the link: the request goes, for the first time or again."""
        self.following.sent()

    def wrote(self, stdout: bytes, stderr: bytes) -> None:
        """By the link: the task has written this."""
        self.following.wrote(stdout, stderr)
        self.changed.set()

    def took(self, taken: int) -> None:
        """By the link: the task has read so many bytes of its stdin."""
        self._taken = max(taken, self._taken or 0)
        self._room.set()

    def next_input(self) -> tuple[bytes, bool] | None:
        """By the link: (stdin, whether it is the last) to send now."""
        if not self._inputs:
            return None
        self._room.set()
        return self._inputs.popleft()

    async def talk(self, stdin: AsyncIterable[bytes]) -> None:
        """Send on all that comes, then the end. An error of who gives it wakes the one who iterates."""
        try:
            async for content in stdin:
                if content:
                    await self.put(content)
            await self.put(b"", end=True)
        finally:
            self.changed.set()

    async def put(self, content: bytes, end: bool = False) -> None:
        """More stdin; waits while much is not sent, or not read by the task."""
        for start in range(0, max(len(content), 1), PIECE):
            piece = content[start : start + PIECE]
            await self._wait_for_room(len(piece))
            self._given += len(piece)
            self._inputs.append((piece, end and start + PIECE >= len(content)))
            self.poke()

    async def _wait_for_room(self, size: int) -> None:
        while len(self._inputs) >= AHEAD or (self._bounded and self._given + size - (self._taken or 0) > WINDOW):
            self._room.clear()
            silent = self._taken is None and len(self._inputs) < AHEAD
            try:
                async with asyncio.timeout(SILENCE if silent else None):
                    await self._room.wait()
            except TimeoutError:
                self._bounded = False


async def pieces(read: Callable[[], bytes]) -> AsyncGenerator[bytes]:
    """What a blocking `read` gives until it gives b"". It runs on a thread that is left behind when nobody waits any more:
    who sits at a terminal can't be interrupted. An exception of `read` is raised here.
    """
    loop = asyncio.get_running_loop()
    asked: queue.SimpleQueue[asyncio.Future[bytes] | None] = queue.SimpleQueue()
    threading.Thread(target=_answer, args=(loop, read, asked), name="wasimoff stdin", daemon=True).start()
    try:
        while True:
            future: asyncio.Future[bytes] = loop.create_future()
            asked.put(future)
            piece = await future
            if not piece:
                return
            yield piece
    finally:
        asked.put(None)


def _answer(
    loop: asyncio.AbstractEventLoop, read: Callable[[], bytes], asked: queue.SimpleQueue[asyncio.Future[bytes] | None]
) -> None:
    while (future := asked.get()) is not None:
        piece, error = b"", None
        try:
            piece = read()
        except Exception as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(_settle, future, piece, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits


def _settle(future: asyncio.Future[bytes], piece: bytes, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(piece)
