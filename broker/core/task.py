"""What the broker's core knows: tasks, runs and providers. Mutable, owned by `State`; shells only read. Standard library."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

KINDS = frozenset({"wasip1", "pyodide"})
"""Kinds of tasks; who does not say which it takes, takes both."""
OWN = "own"
"""Offered by every provider that understands our extensions."""


class Phase(Enum):
    """Where a task stands; the legal moves are in `transitions.TASK`."""

    NEW = "new"
    QUEUED = "queued"
    RESTING = "resting"
    RUNNING = "running"
    ENDED = "ended"


class Standing(Enum):
    """Where a provider stands; the legal moves are in `transitions.PROVIDER`."""

    GREETING = "greeting"
    READY = "ready"
    GONE = "gone"


@dataclass(slots=True, eq=False)
class Task:
    """What a client asks. `payload`, `reply` and what follows `deadline` are the shell's own: the core only carries them."""

    id: str
    requester: str
    needs: frozenset[str]
    """What a provider must offer to take it: its kind ("wasip1" or "pyodide") and more; one of a few sets, made once."""
    module: str
    """Digest of the program, for locality and estimates; "" when there is none."""
    payload: Any
    reply: Any
    weight: int = 0
    """Bytes it holds in memory while it waits."""
    priority: bool = False
    immediate: bool = False
    deadline: float | None = None
    """In the core's own time; None: none."""
    follower: Any = None
    """Who is told what the task writes while it runs."""
    feed: Any = None
    """Where its standard input comes from while it runs."""
    by_reference: bool = False
    """Its outputs may come as files in our storage."""

    phase: Phase = Phase.NEW
    attempts: int = 0
    losses: int = 0
    """Attempts lost with their provider or taken back; the other failed ones were refused."""
    run: Run | None = None
    avoid: set[int] | None = None
    """Numbers of the providers that lost or refused it."""
    reasons: list[str] | None = None
    """Why each attempt so far came to nothing."""


@dataclass(slots=True, eq=False)
class Run:
    """One attempt at a task at one provider; `sequence` is the request that carries it on that provider's socket."""

    task: Task
    provider: Provider
    sequence: int
    attempt: int
    assigned: float
    depth: int
    """How many runs the provider held with this one, when it was assigned."""
    estimate: float
    """Seconds it was expected to take."""
    cancelled: float | None = None
    """When a Cancel was sent for it: its task has ended or goes elsewhere, its slot is still taken."""


@dataclass(slots=True, eq=False)
class Provider:
    """A connected provider. `number` is the connection; names are for people and not unique."""

    number: int
    name: str
    address: str
    connected: float
    standing: Standing = Standing.GREETING
    concurrency: int = 0
    working: int = 0
    """Slots that may be at a run: beside the announced ones those that end what they have, and take nothing more."""
    own: bool = False
    """Has shown an own field: understands our extensions."""
    engine: str = ""
    offers: frozenset[str] = KINDS
    """What tasks may need of it: kinds, OWN, and what else it has announced."""
    runs: dict[int, Run] = field(default_factory=dict)
    """By sequence, oldest first."""
    load: float = 0.0
    """Estimated seconds of all its runs."""
    modules: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """What it holds compiled, least recently used first; bounded by policy."""
    sequence: int = 0
    """Of the last request sent to it."""
    heard: float = 0.0
    pinged: float = 0.0
    ping: int = 0
    """Sequence of the Ping that is out; 0: none."""
    unanswered: int = 0
    """Pings since it was last heard, as of the last one."""
    round_trip: float = 0.0
    """Seconds, smoothed, from pings."""
    strikes: int = 0
    """Infrastructure errors in a row."""
    cool_until: float = 0.0
    done: int = 0
    failed: int = 0
    cpu_seconds: float = 0.0
    """Spent on tasks, as it says itself."""

    def lend(self, slots: int) -> None:
        """It has so many slots from now on."""
        self.concurrency = slots
        self.working = max(slots, min(self.working, len(self.runs)))

    def settle(self) -> None:
        """From time to time: slots that were to end what they had may have done so."""
        if len(self.runs) <= self.concurrency:
            self.working = self.concurrency

    def takes(self, needs: frozenset[str]) -> bool:
        return needs <= self.offers

    def remember(self, module: str, most: int) -> None:
        """That it holds a module, as the most recent of so many."""
        self.modules[module] = None
        self.modules.move_to_end(module)
        if len(self.modules) > most:
            self.modules.popitem(last=False)

    def ponged(self, sequence: int, now: float) -> None:
        """It has answered a Ping; only the one that is out tells how far it is."""
        if sequence == self.ping:
            self.ping = 0
            took = now - self.pinged
            known = self.round_trip
            self.round_trip = took if not known else min(known + 0.25 * (took - known), 2 * took)
