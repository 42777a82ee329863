"""The numbers that steer scheduling, and what they mean. Standard library only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .task import Provider


@dataclass(frozen=True, slots=True)
class Policy:
    queue_limit: int = 10_000
    """Tasks that may wait; more are refused with resource_exhausted."""
    queue_bytes: int = 512 * 2**20
    """Bytes that waiting and running tasks may hold together."""
    max_refusals: int = 5
    """Attempts that may end with an infrastructure error."""
    max_losses: int = 16
    """Attempts that may be lost with their provider: many, since those lost are mostly innocent bystanders."""
    ping_seconds: float = 5.0
    """Between pings; a provider that stays silent past two is dropped."""
    run_seconds: float = 3600.0
    """After which a run that nobody answers is cancelled; 0: never."""
    cancel_grace: float = 30.0
    """A provider that does not answer a cancelled run within these seconds is dropped."""
    backlog_seconds: float = 0.05
    """Work (estimated) kept at a provider for each of its slots, so that none waits for a round trip."""
    prefetch: int = 16
    """Runs per slot kept at a provider beyond those that run, at most; 1 for peers without our extensions."""
    modules: int = 256
    """Modules remembered per provider."""

    def wants_more(self, provider: Provider) -> bool:
        """Whether a provider whose slots are all taken should get another run to hold ready."""
        slots = provider.concurrency
        extra = len(provider.runs) - slots
        most = slots * (self.prefetch if provider.own else 1)
        return extra < most and provider.load < slots * (self.backlog_seconds + provider.round_trip)


UNKNOWN = 3600.0
"""The estimate for a module never seen: long, so that nothing is prefetched behind or in front of it."""


class Estimates:
    """Seconds that a run of a module takes, smoothed over its runs; bounded, least recently run forgotten first."""

    def __init__(self, limit: int = 4096) -> None:
        self._seconds: OrderedDict[str, float] = OrderedDict()
        self._limit = limit

    def get(self, module: str) -> float:
        return self._seconds.get(module, UNKNOWN)

    def learn(self, module: str, sample: float) -> None:
        """Falls fast (a first run holds the compile time), rises slowly (one hiccup is not a trend)."""
        known = self._seconds.get(module)
        if known is None:
            self._seconds[module] = sample
            if len(self._seconds) > self._limit:
                self._seconds.popitem(last=False)
            return
        self._seconds[module] = min(known + 0.25 * (sample - known), 4 * sample)
