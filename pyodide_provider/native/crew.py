"""The threads of a program: which there are, who waits to start another, how the run ends. Imports wasmtime's errors.

They are started by the one that waits for the run's end, one after another: a thread that is being started needs Python,
and many at once would keep that one from it. It also knows when a limit is passed, however busy the program's threads are.
"""

from __future__ import annotations

import threading
import time
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from wasmtime import Trap, WasmtimeError

from ..errors import HostFault

End: TypeAlias = int | str | Trap | WasmtimeError | HostFault
"""How a run ends: an exit code, what we say, what wasmtime says; or what keeps it from going on."""
FIRST = 0
MAX_ID = 2**29 - 1
"""wasi-threads keeps the higher bits of a thread's id for itself."""
JOINING = 0.05
"""Seconds that a thread which is one too many waits: one that was joined has still to return."""
JOINING_AGAIN = 0.15
"""The same, in a program whose threads do return."""


class Crew:
    """`work` is what a thread does, with its id and argument; it calls `entered` and, at its end, `left`."""

    def __init__(self, most: int, crowded: str, work: Callable[[int, int], None]) -> None:
        """`crowded`: how the run ends if there are to be more than `most` at once."""
        self.over = threading.Event()
        self.gone = threading.Event()
        """When the last thread has ended."""
        self._most = most
        self._crowded = crowded
        self._work = work
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        """That a thread has ended, or the run."""
        self._news = threading.Condition(self._lock)
        """For the one that waits for the end."""
        self._alive = {FIRST}
        self._due = deque([(FIRST, 0)])
        """Threads that are to be started."""
        self._starting: int | None = None
        self._waits: list[float] = []
        """Until when those wait that want to start one too many."""
        self._newest = FIRST
        self._returned = False
        self._ended: End | None = None

    @property
    def alone(self) -> bool:
        """Whether there is one thread, at most."""
        return len(self._alive) <= 1

    def run(self) -> End:
        """From the first thread's start to the end, after which others may go on."""
        with self._lock:
            while self._ended is None:
                if self._due and self._starting is None:
                    self._start(*self._due.popleft())
                elif not self._waits:
                    self._news.wait()
                elif (left := min(self._waits) - time.monotonic()) > 0:
                    self._news.wait(left)
                else:
                    self._end(self._crowded)
            for number, _ in self._due:
                self._leave(number)
            return self._ended

    def spawn(self, argument: int) -> int | None:
        """For a thread of the program: the id of a new one, or None when the run is over."""
        with self._lock:
            if len(self._alive) >= self._most:
                self._wait_for_room()
            if self._ended is not None:
                return None
            number = self._next()
            self._alive.add(number)
            self._due.append((number, argument))
            self._news.notify()
            return number

    def entered(self) -> None:
        """The thread that was started last is in the program."""
        with self._lock:
            self._starting = None
            if self._due:
                self._news.notify()

    def left(self, number: int) -> None:
        """A thread has ended."""
        with self._lock:
            if self._starting == number:
                self._starting = None
                self._news.notify()
            self._returned = True
            self._leave(number)

    def end(self, how: End) -> None:
        """The first end counts."""
        with self._lock:
            self._end(how)

    def _end(self, how: End) -> None:
        if self._ended is None:
            self._ended = how
            self.over.set()
            self._news.notify()
            self._room.notify_all()

    def _leave(self, number: int) -> None:
        self._alive.discard(number)
        self._room.notify()
        if not self._alive:
            self.gone.set()

    def _wait_for_room(self) -> None:
        until = time.monotonic() + (JOINING_AGAIN if self._returned else JOINING)
        self._waits.append(until)
        self._news.notify()
        self._room.wait_for(lambda: len(self._alive) < self._most or self._ended is not None)
        self._waits.remove(until)

    def _start(self, number: int, argument: int) -> None:
        try:
            start_new_thread(self._work, (number, argument))
        except RuntimeError as error:
            self._leave(number)
            self._end(HostFault(f"no thread can be started: {error}"))
        else:
            self._starting = number

    def _next(self) -> int:
        while True:
            self._newest = self._newest % MAX_ID + 1
            if self._newest not in self._alive:
                return self._newest
