"""Which runs wait behind long ones, while a slot is free elsewhere. Standard library and this package only."""

from __future__ import annotations

from collections.abc import Iterator

from .roster import Roster
from .task import Run

PATIENCE = 1.0
"""Seconds, beyond its round trip, that a provider may hold a run ready: many times what all it holds was expected to take."""


def stuck(roster: Roster, now: float) -> Iterator[Run]:
    """Runs that would begin at once elsewhere, as many as there are free slots for, of each provider the oldest first.

    Of our own make of providers only: those begin what they are given in order, and answer a Cancel.
    """
    free = {provider: provider.concurrency - len(provider.runs) for provider in roster.idle}
    for provider in roster.connected.values():
        if not provider.own or len(provider.runs) <= provider.working:
            continue
        for run in list(provider.runs.values())[provider.working :]:
            if run.cancelled is not None or now - run.assigned <= PATIENCE + provider.round_trip:
                continue
            avoid = run.task.avoid or ()
            taker = next((p for p in free if p.takes(run.task.needs) and p.number not in avoid), None)
            if taker is None:
                continue
            free[taker] -= 1
            if not free[taker]:
                del free[taker]
            yield run
