"""Whether this provider takes Python tasks: when there is a Node, a fence, and a broker that has Pyodide for us. Says why not.

It is found out anew with each connection, for the broker may be another one by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...core.events import Event, LinkOpened
from ...core.run import Run
from ...errors import UsageError
from ...runtime import PYTHON
from .. import limits
from ..blob_cache import BlobCache
from .interpreters import Interpreters, Settings
from .node import find


class PythonOffer:
    """`slots.Python`. `announce` gets the kinds that are taken beside others, and what is to be said of the engine beside."""

    def __init__(self, base: str, cache: BlobCache, workers: int, log: Callable[[str], None]) -> None:
        self.feed: Callable[[Event], None] = _nobody
        self.announce: Callable[[Sequence[str], str], None] = _no_one
        self._settings = Settings(base, cache, limits.OUTPUT, limits.FILES, workers)
        self._log = log
        self._interpreters: Interpreters | None = None
        self._looking: asyncio.Task[None] | None = None
        self._offered = False
        self._said = ""

    def linked(self, feed: Callable[[Event], None]) -> Callable[[Event], None]:
        """`feed`, with an eye on the connection."""

        def fed(event: Event) -> None:
            feed(event)
            if isinstance(event, LinkOpened) and (self._looking is None or self._looking.done()):
                self._looking = asyncio.get_running_loop().create_task(self._look())

        return fed

    def post(self, slot: int, run: Run) -> None:
        assert self._interpreters is not None, "a Python task that was not offered"
        self._interpreters.post(slot, run)

    def stop(self, slot: int) -> None:
        if self._interpreters is not None:
            self._interpreters.stop(slot)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._interpreters is not None:
            await self._interpreters.close()

    async def _look(self) -> None:
        try:
            if self._interpreters is None:
                node = await asyncio.to_thread(find)
                self._interpreters = Interpreters(node, self._settings)
                self._interpreters.feed = lambda event: self.feed(event)
            await self._interpreters.prepare()
        except UsageError as error:
            self._say(f"no Python tasks: {error}")
            self._offer(False)
        else:
            self._say(f"takes Python tasks, under Node {self._interpreters.node.version}")
            self._offer(True)

    def _offer(self, offered: bool) -> None:
        if offered == self._offered:
            return
        self._offered = offered
        if offered and self._interpreters is not None:
            self.announce((PYTHON,), f", Node {self._interpreters.node.version.removeprefix('v')}")
        else:
            self.announce((), "")

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._log(line)


def _nobody(event: Event) -> None:
    raise AssertionError(f"{type(event).__name__} before the runtime was there")


def _no_one(kinds: Sequence[str], engine: str) -> None:
    raise AssertionError("offered before the runtime was there")
