"""Time in the tab: JavaScript's timers, which a hidden tab does not throttle in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from .host import JsHost, Keep


class BrowserClock:
    """`ports.Clock`."""

    def __init__(self, js_host: JsHost, keep: Keep) -> None:
        self._after = js_host.timers.after
        self._waiting: dict[int, Callable[[], None]] = {}
        self._numbers = count(1)
        js_host.timers.listen(keep(self._due))

    def now(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        timer = next(self._numbers)
        self._waiting[timer] = callback
        self._after(timer, delay * 1000)

    def _due(self, timer: int) -> None:
        self._waiting.pop(timer)()
