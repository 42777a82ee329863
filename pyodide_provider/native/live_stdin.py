"""Standard input that comes while a program with threads runs: who reads it waits alone. Standard library only.

wasmtime would wait within the one store that all threads call. So reading and waiting are done here.
"""

from __future__ import annotations

import os
import select
import stat
import time
from abc import ABC, abstractmethod

MOST = 1 << 16
"""Bytes of one read."""


class Source(ABC):
    """What is read instead of the store's own standard input, and which descriptor of the program it is."""

    def __init__(self) -> None:
        self.descriptor: int | None = 0

    @abstractmethod
    def wait(self, seconds: float | None = None) -> bool:
        """Until there is something to read, or the end; false when it isn't by then, or the run is over."""

    @abstractmethod
    def read(self, size: int) -> bytes | None:
        """What is there, b"" at its end; None when another thread was quicker."""

    def closed(self, descriptor: int) -> None:
        """The program has closed a descriptor."""
        if descriptor == self.descriptor:
            self.descriptor = None

    def moved(self, old: int, new: int) -> None:
        """The program has given a descriptor another number, which may have been in use."""
        if new == self.descriptor != old:
            self.descriptor = None
        elif old == self.descriptor:
            self.descriptor = new


class LiveStdin(Source):
    """A named pipe."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        super().__init__()
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._over = os.eventfd(0, os.EFD_CLOEXEC)

    def wait(self, seconds: float | None = None) -> bool:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(self._over, select.POLLIN)
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if until is None else max(until - time.monotonic(), 0) * 1000
            found = [descriptor for descriptor, _ in poll.poll(left)]
            if self._over in found:
                return False
            if found or left == 0:
                return bool(found)

    def read(self, size: int) -> bytes | None:
        try:
            return os.read(self._pipe, min(size, MOST))
        except BlockingIOError:
            return None

    def end(self) -> None:
        """Nobody waits any more."""
        os.eventfd_write(self._over, 1)

    def close(self) -> None:
        """When no thread is left."""
        os.close(self._pipe)
        os.close(self._over)


def is_live(path: str) -> bool:
    return stat.S_ISFIFO(os.stat(path).st_mode)
