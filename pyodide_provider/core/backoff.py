"""How long to wait before the next try. Pure: the random number is given."""

from __future__ import annotations

BASE = 0.5
"""Seconds the first wait lasts at most."""
CAP = 30.0
"""Seconds any wait lasts at most."""


def delay(tries: int, jitter: float) -> float:
    """Seconds to wait after `tries` failures in a row (counted from 1).

    Exponential with full jitter: `jitter` in 0 … 1 picks from the whole interval, so that a broker which comes back is
    not met by all its providers in the same instant.
    """
    return jitter * min(CAP, BASE * 2.0 ** min(max(tries - 1, 0), 16))
