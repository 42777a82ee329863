"""What the provider's core asks its shell to do, in the imperative. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .events import Event
from .run import Ended, Outcome, Run


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Connect now: answered by LinkOpened or LinkLost."""


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the link, or give up opening it; nothing more is heard of it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class StartSlot:
    """Start a worker; `slot` is new for every worker, also for one that replaces another."""

    slot: int


@dataclass(frozen=True, slots=True)
class StopSlot:
    """Kill a worker at once, whatever it does; nothing more is heard of it."""

    slot: int


@dataclass(frozen=True, slots=True)
class Post:
    """Hand runs to a worker, which does them in order and answers each once."""

    slot: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class PostInput:
    """Hand an interactive run that was posted to a worker more of its standard input."""

    slot: int
    sequence: int
    data: bytes
    end: bool


@dataclass(frozen=True, slots=True)
class SendListing:
    sequence: int


@dataclass(frozen=True, slots=True)
class SendOutcome:
    run: Run
    outcome: Outcome
    ended: Ended | None = None
    """What the slot said of it; None when it did not come so far."""


@dataclass(frozen=True, slots=True)
class SendOutput:
    """Tell what a run has written since the last one; it may be left out where it would pile up."""

    run: Run
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class SendCancelled:
    sequence: int
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class SendResources:
    concurrency: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Remind:
    """Feed `event` back after `delay` seconds. There is no taking back: stale ones are ignored by the core."""

    delay: float
    event: Event


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the provider's log, for people; never one per task."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Drained: end the process (or leave the page idle)."""


Instruction: TypeAlias = (
    OpenLink
    | CloseLink
    | StartSlot
    | StopSlot
    | Post
    | PostInput
    | SendListing
    | SendOutcome
    | SendOutput
    | SendCancelled
    | SendResources
    | Remind
    | Note
    | Finish
)
