"""Standard input of a program with threads that was given none: as a terminal at which nobody types, and which is closed then.

Programs count on a thread that reads to leave the others their time. Who reads finds the end after a while, or when no other
thread is left that could do anything. Standard library only.
"""

from __future__ import annotations

import time

from .crew import Crew
from .live_stdin import Source

OPEN = 1.0
"""Seconds from the first read."""
STEP = 0.02
"""Seconds between two looks whether other threads are left."""


class NoStdin(Source):
    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew
        self._until = 0.0

    def wait(self, seconds: float | None = None) -> bool:
        """Until its end, whatever the seconds; false when the run is over."""
        self._until = self._until or time.monotonic() + OPEN
        while not self._crew.over.is_set():
            left = self._until - time.monotonic()
            if left <= 0 or self._crew.alone:
                return True
            self._crew.over.wait(min(left, STEP))
        return False

    def read(self, size: int) -> bytes:
        return b""
