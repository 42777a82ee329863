"""One worker as the core sees it, and what may be posted to it. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .costs import UNKNOWN
from .run import Run

STARTING, READY, RESTING = "starting", "ready", "resting"

MAX_POSTED = 16
"""Runs at one slot, at most."""
MAX_AHEAD = 0.025
"""Seconds of estimated work at one slot, at most, when more than one run is there. So much more than a slot waits for its
next run that the wait is nothing beside it; short enough that a run which is in the wrong place is not missed."""


@dataclass(slots=True, eq=False)
class Posted:
    """A run at a slot; an unwanted one was cancelled and answered, and its outcome goes nowhere."""

    run: Run
    estimate: float
    wanted: bool = True
    began: float | None = None
    """When its program began, if it has a limit of time and the slot has said so."""


class Slot:
    """A worker. The head of `posted` is what it does now; the others wait in it."""

    __slots__ = ("deaths", "number", "posted", "retiring", "since", "state", "work")

    def __init__(self, number: int, state: str, deaths: int) -> None:
        self.number = number
        self.state = state
        self.deaths = deaths
        """Predecessors in a row that died before they did anything."""
        self.posted: deque[Posted] = deque()
        self.work = 0.0
        """Sum of the estimates of what is posted, in seconds."""
        self.since = 0.0
        """When the head began, about."""
        self.retiring = False
        """To be stopped as soon as it is idle."""

    @property
    def usable(self) -> bool:
        """Whether a run may count on it: it is ready, or will be soon as far as anyone knows."""
        return not self.retiring and (self.state == READY or (self.state == STARTING and not self.deaths))

    def left(self, now: float) -> float:
        """Estimated seconds until it is idle; a head that takes longer than expected is taken to need as long again."""
        if not self.posted:
            return 0.0
        if self.work == UNKNOWN:
            return UNKNOWN
        head = self.posted[0].estimate
        return self.work - head + max(head, now - self.since)

    def head(self, sequence: int) -> Posted | None:
        """The run of that sequence, if it is what the slot does now and somebody wants it."""
        if not self.posted:
            return None
        head = self.posted[0]
        return head if head.wanted and head.run.sequence == sequence else None

    def post(self, run: Run, estimate: float, now: float) -> None:
        if not self.posted:
            self.since, self.work = now, 0.0
        self.posted.append(Posted(run, estimate))
        self.work += estimate

    def pop(self, now: float) -> Posted:
        """The head has ended."""
        head = self.posted.popleft()
        self.since = now
        self.work = sum(posted.estimate for posted in self.posted)
        return head

    def behind(self) -> list[Posted]:
        """Those behind the head that somebody wants."""
        return [posted for place, posted in enumerate(self.posted) if place and posted.wanted]

    def validate(self) -> None:
        assert self.state in (STARTING, READY, RESTING), f"unknown state {self.state}"
        assert self.state == READY or not self.posted, f"slot {self.number} is {self.state} and has runs"
        assert len(self.posted) <= MAX_POSTED, f"slot {self.number} has {len(self.posted)} runs"
        if len(self.posted) > 1:
            assert self.work <= MAX_AHEAD + 1e-9, f"slot {self.number} has {self.work} s of work"
        estimates = sum(posted.estimate for posted in self.posted)
        assert not self.posted or self.work == estimates or abs(self.work - estimates) < 1e-9, "work is miscounted"
