"""Standard input of a run that comes while it runs: a named pipe, which the worker opens. Runs on asyncio or uvloop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from .streams import STDIN

TOLD_EVERY = 256 << 10
"""Bytes that the program has taken since it was told last."""


class Stdin:
    """Of one run. Who puts more into it bounds how much: what the pipe does not take is kept here."""

    def __init__(self, folder: str, took: Callable[[int], None]) -> None:
        """`took` is told now and then how many bytes the program has taken, or may at any time. Raises OSError."""
        self._took = took
        self._taken = self._told = 0
        self._path = f"{folder}/{STDIN}"
        os.mkfifo(self._path, 0o600)
        # Until the worker has opened it, we are both: opening one end of a pipe waits for somebody at the other.
        self._reader: int | None = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._writer: int | None = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._ended = False
        self._watched = False

    def put(self, data: bytes, end: bool) -> None:
        """More of it."""
        if self._writer is None:
            return
        self._waiting += data
        self._ended |= end
        self._write()

    def opened(self) -> None:
        """The worker has opened it."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            self._write()

    def close(self) -> None:
        """Nothing more is read of it."""
        self._waiting.clear()
        self._ended = True
        self.opened()
        self._end()

    def _write(self) -> None:
        try:
            while self._waiting and self._writer is not None:
                count = os.write(self._writer, self._waiting)
                del self._waiting[:count]
                self._count(count)
        except BlockingIOError:
            if self._writer is not None and not self._watched:
                self._watched = True
                self._loop.add_writer(self._writer, self._write)
            return
        except BrokenPipeError:
            # The program has closed it, or ended.
            self._waiting.clear()
            self._ended = True
        self._unwatch()
        if self._ended and self._reader is None:
            self._end()

    def _count(self, count: int) -> None:
        self._taken += count
        if self._taken - self._told >= TOLD_EVERY:
            self._told = self._taken
            self._took(self._taken)

    def _unwatch(self) -> None:
        if self._watched and self._writer is not None:
            self._watched = False
            self._loop.remove_writer(self._writer)

    def _end(self) -> None:
        self._unwatch()
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
