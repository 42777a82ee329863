"""When a worker's run has begun, in memory that its parent has too: the worker may be killed before it can tell.

Standard library only.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress

_BEGAN, _CPU = 0, 1


class Gauge:
    """`descriptor` is of a file in memory, `make()`."""

    def __init__(self, descriptor: int) -> None:
        self._cells = memoryview(mmap.mmap(descriptor, 16)).cast("d")

    def begin(self, at: float, cpu: float) -> None:
        """By the worker: a program begins at this time of the monotonic clock; the process has used so many seconds."""
        self._cells[_CPU] = cpu
        self._cells[_BEGAN] = at

    def end(self) -> None:
        """By the worker: it has ended."""
        self._cells[_BEGAN] = 0.0

    def used(self, pid: int) -> tuple[float, float]:
        """By the parent: seconds that have passed for the program, and those of the processor; also when the worker has died,
        until it is waited for.
        """
        began = self._cells[_BEGAN]
        if not began:
            return 0.0, 0.0
        cpu = 0.0
        with suppress(OSError):
            cpu = max(time.clock_gettime(_clock(pid)) - self._cells[_CPU], 0.0)
        return max(time.monotonic() - began, 0.0), cpu


def make() -> int:
    """A descriptor to close. Raises OSError."""
    descriptor = os.memfd_create("gauge")
    os.ftruncate(descriptor, 16)
    return descriptor


def _clock(pid: int) -> int:
    """Of the processor time of a process: clock_getcpuclockid(3), as Linux has it."""
    return ~pid << 3 | 2
