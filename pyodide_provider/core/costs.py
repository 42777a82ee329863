"""What runs of a binary are known to cost, to tell short ones from long ones. Pure."""

from __future__ import annotations

from collections import OrderedDict

from .run import Params, Run

UNKNOWN = float("inf")
REMEMBERED = 1024
"""Binaries, the least recently seen are forgotten."""
FALL = 0.25


class Costs:
    """Seconds a run of a binary takes, by the binary's ref.

    An average that rises at once and falls slowly: where long and short runs of one binary mix, it stays near the long
    ones, so that a short-looking run is really short.
    """

    def __init__(self) -> None:
        self._seconds: OrderedDict[str, float] = OrderedDict()

    def estimate(self, run: Run) -> float:
        """Seconds, or UNKNOWN for a binary not yet seen or without a ref, for Python, and where somebody types."""
        return self._seconds.get(_key(run), UNKNOWN)

    def learn(self, run: Run, seconds: float) -> None:
        ref = _key(run)
        if not ref:
            return
        known = self._seconds.get(ref)
        if known is not None and known > seconds:
            seconds = known + FALL * (seconds - known)
        self._seconds[ref] = seconds
        self._seconds.move_to_end(ref)
        if len(self._seconds) > REMEMBERED:
            self._seconds.popitem(last=False)

    def __len__(self) -> int:
        return len(self._seconds)


def _key(run: Run) -> str:
    return run.params.binary.ref if isinstance(run.params, Params) and not run.params.interactive else ""
