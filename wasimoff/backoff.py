"""How long to wait before trying again, and when to stop trying. Pure but for `random`."""

from __future__ import annotations

import random
from collections.abc import Iterator


def delays(first: float = 0.1, most: float = 5.0) -> Iterator[float]:
    """Endless delays in seconds: doubling from `first` to `most`, each cut by up to half at random."""
    base = first
    while True:
        yield base * random.uniform(0.5, 1.0)
        base = min(most, base * 2)


class Patience:
    """Tries again for so many seconds from the first failure on; a success starts it anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        self._since: float | None = None
        self._delays = delays()

    def pause(self, now: float) -> float | None:
        """Something failed at `now` (monotonic seconds): wait so long, or None: enough."""
        if self._since is None:
            self._since = now
        left = self._since + self._seconds - now
        return min(next(self._delays), left) if left > 0 else None
