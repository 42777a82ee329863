"""What the provider's core asks its shell to do, in the imperative. Pure data."""

from __future__ import annotations

from typing import TypeAlias

from .events import Event
from .run import Ended, Outcome, Run
from .value import value


@value
class OpenLink:
    """Connect now: answered by LinkOpened or LinkLost."""


@value
class CloseLink:
    """Close the link, or give up opening it; nothing more is heard of it."""

    code: int
    reason: str


@value
class StartSlot:
    """Start a worker; `slot` is new for every worker, also for one that replaces another."""

    slot: int


@value
class StopSlot:
    """Kill a worker at once, whatever it does; nothing more is heard of it."""

    slot: int


@value
class Post:
    """Hand runs to a worker, which does them in order and answers each once."""

    slot: int
    runs: tuple[Run, ...]


@value
class PostInput:
    """Hand an interactive run that was posted to a worker more of its standard input."""

    slot: int
    sequence: int
    data: bytes
    end: bool


@value
class SendListing:
    sequence: int


@value
class SendOutcome:
    run: Run
    outcome: Outcome
    ended: Ended | None = None
    """What the slot said of it; None when it did not come so far."""
    slot: int | None = None
    """Which still does it, and is to be stopped: what it has used of the processor is to be seen there."""


@value
class SendOutput:
    """Tell what a run has written since the last one; it may be left out where it would pile up."""

    run: Run
    stdout: bytes
    stderr: bytes


@value
class SendTaken:
    """Tell how many bytes of what came by InputArrived the program has taken."""

    sequence: int
    taken: int


@value
class SendCancelled:
    sequence: int
    task: str
    reason: str


@value
class SendResources:
    concurrency: int
    tasks: int


@value
class Remind:
    """Feed `event` back after `delay` seconds. There is no taking back: stale ones are ignored by the core."""

    delay: float
    event: Event


@value
class Note:
    """A line for the provider's log, for people; never one per task."""

    text: str


@value
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
    | SendTaken
    | SendCancelled
    | SendResources
    | Remind
    | Note
    | Finish
)
