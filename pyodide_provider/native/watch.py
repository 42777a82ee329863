"""Looks after a run that lasts, from a thread that sleeps otherwise: a quick run costs two locks. Standard library only.

What is over a limit is stopped by ending the worker, as there is no other way to stop a program; the exit code tells which.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable

FIRST = 0.1
"""Seconds that a run takes before it is looked at; and between two looks, at least."""
CALM = 4
"""Looking may take one part in so many of the time."""

_libc = ctypes.CDLL(None, use_errno=True)
CLOCK_MONOTONIC = 1
TFD_CLOEXEC = 0o2000000


class _Timer(ctypes.Structure):
    """struct itimerspec of a 64-bit Linux."""

    _fields_ = (("every", ctypes.c_long * 2), ("after", ctypes.c_long * 2))


class Watch:
    """Calls `check` of the run that is under way now and then; it gives the code to end this process with, or 0."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._timer = _libc.timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._lock = threading.Lock()
        self._check: Callable[[], int] | None = None
        self._run = 0
        self._since = 0.0
        self._armed = False
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def begin(self, check: Callable[[], int]) -> None:
        with self._lock:
            self._check = check
            self._run += 1
            self._since = time.monotonic()
            if not self._armed:
                self._armed = True
                self._arm(FIRST)

    def end(self) -> None:
        """From here on the process isn't ended because of that run."""
        with self._lock:
            self._check = None

    def _arm(self, seconds: float) -> None:
        after = _Timer((0, 0), (int(seconds), max(int(seconds % 1 * 1e9), 1)))
        _libc.timerfd_settime(self._timer, 0, ctypes.byref(after), None)

    def _look(self) -> None:
        while True:
            os.read(self._timer, 8)
            with self._lock:
                check, run, since = self._check, self._run, self._since
                self._armed = check is not None
            if check is None:
                continue
            now = time.monotonic()
            early = FIRST - (now - since)
            if early > 0:
                # An earlier run set the timer.
                self._arm(early)
                continue
            code = check()
            with self._lock:
                # It may have ended meanwhile, and be told already.
                if code and self._check is not None and self._run == run:
                    os._exit(code)
            self._arm(max(FIRST, CALM * (time.monotonic() - now)))
