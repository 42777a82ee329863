"""Who is connected, who has a free slot, and who should get a task. Standard library and this package only."""

from __future__ import annotations

from collections.abc import Iterator

from .policy import Policy
from .task import Provider, Standing, Task

LOOK = 32
"""Providers looked at for one that holds the module, before the first free one is taken."""


class Roster:
    """Two pools kept up to date run by run: `idle` have a free slot, `spare` are busy but should hold more runs ready.

    The provider served last goes last in its pool, so that equals take turns.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.connected: dict[int, Provider] = {}
        self.idle: dict[Provider, None] = {}
        self.spare: dict[Provider, None] = {}

    def index(self, provider: Provider, now: float) -> None:
        """Put a provider into the pool where it belongs: call it after every change to its runs, slots or standing."""
        self.idle.pop(provider, None)
        self.spare.pop(provider, None)
        if provider.standing is not Standing.READY or provider.cool_until > now:
            return
        if len(provider.runs) < provider.concurrency:
            self.idle[provider] = None
        elif self.policy.wants_more(provider):
            self.spare[provider] = None

    def choose(self, task: Task) -> Provider | None:
        """A provider for this task now: one that holds its module, else the first free; None: it has to wait."""
        chosen = self._pick(self.idle, task)
        if chosen is None:
            chosen = self._pick(self.spare, task)
        if chosen is None and task.avoid and not self.has_other(task):
            return next((p for p in self.idle if p.takes(task.needs)), None)
        return chosen

    def _pick(self, pool: dict[Provider, None], task: Task) -> Provider | None:
        first: Provider | None = None
        looked = 0
        for provider in pool:
            if not provider.takes(task.needs) or (task.avoid and provider.number in task.avoid):
                continue
            if task.module in provider.modules:
                return provider
            first = first or provider
            looked += 1
            if looked == LOOK:
                break
        return first

    def able(self, needs: frozenset[str]) -> Iterator[Provider]:
        """Providers that could take such a task, were they free."""
        for provider in self.connected.values():
            if provider.standing is Standing.READY and provider.concurrency and provider.takes(needs):
                yield provider

    def has_other(self, task: Task) -> bool:
        """Whether anybody could take the task who has not failed it before."""
        avoid = task.avoid or ()
        return any(p.number not in avoid for p in self.able(task.needs))

    def has_idle(self, needs: frozenset[str]) -> bool:
        return any(p.takes(needs) for p in self.idle)
