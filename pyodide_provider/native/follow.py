"""Tells what a run writes while it runs, out of the files it writes to. To be used from within a running loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

EVERY = 0.05
"""Seconds between two looks."""
LIVELY = 0.01
"""The same while somebody waits for an answer to what was typed."""
MOST = 256 << 10
"""Bytes that are told at once; what is written faster is told by the end of the run."""


class Follower:
    """Of one run, from its beginning to its end: `tell` gets what is new of stdout and stderr."""

    def __init__(self, streams: Sequence[int], tell: Callable[[bytes, bytes], None], every: float = EVERY) -> None:
        self._streams = streams
        self._every = every
        self._tell = tell
        self._told = [0, 0]
        self._timer = asyncio.get_running_loop().call_later(every, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)
        left, news = MOST, [b"", b""]
        for which, stream in enumerate(self._streams):
            size = os.fstat(stream).st_size - self._told[which]
            if size > 0 and left:
                news[which] = os.pread(stream, min(size, left), self._told[which])
                self._told[which] += len(news[which])
                left -= len(news[which])
        if any(news):
            self._tell(news[0], news[1])
