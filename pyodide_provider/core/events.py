"""What can happen to a provider, in the past tense. Pure data."""

from __future__ import annotations

from typing import TypeAlias

from .run import Ended, Run
from .value import value


@value
class ConnectWanted:
    """A person or the start-up asks for a broker; also ends a back-off at once."""


@value
class DisconnectWanted:
    """A person asks to leave: finish nothing more, stay away until ConnectWanted."""


@value
class WorkersWanted:
    """Run this many tasks at once from now on (0: take none)."""

    count: int


@value
class DrainWanted:
    """Take no more, finish what runs, then end."""


@value
class LinkOpened:
    """The socket to the broker is up."""


@value
class LinkLost:
    """The socket is gone, or never came up; `reason` is for people."""

    reason: str


@value
class PeerFaulted:
    """The broker broke the protocol or fell silent; `reason` is sent to it."""

    reason: str


@value
class ReconnectDue:
    """A back-off is over; `attempt` is the number of the attempt it waited for."""

    attempt: int


@value
class ListingAsked:
    """The broker's handshake: answered when every worker is up."""

    sequence: int


@value
class RunAsked:
    run: Run


@value
class CancelAsked:
    sequence: int
    task: str
    reason: str


@value
class SlotReady:
    slot: int


@value
class SlotLost:
    """A worker died, or could not start. `ended` is how the run that it died of ends: Broken when None."""

    slot: int
    reason: str
    ended: Ended | None = None


@value
class SlotSpent:
    """A worker has answered what it did, and can do no more."""

    slot: int


@value
class SlotDue:
    """The rest of a slot whose predecessors died at once is over."""

    slot: int


@value
class UnwantedDue:
    """A cancelled run has had its time to end by itself."""

    slot: int
    sequence: int


@value
class BalanceDue:
    """Some slot has had nothing to do for a while, and another perhaps too much."""


@value
class InputTaken:
    """The program of an interactive run has taken so many bytes of its standard input, what came with the request included."""

    slot: int
    sequence: int
    taken: int


@value
class RunBegan:
    """The program of a run with a limit of time starts now: fetching and compiling are over."""

    slot: int
    sequence: int


@value
class OutputWritten:
    """What a run that is followed has written since the last one; its end holds all of it still."""

    slot: int
    sequence: int
    stdout: bytes
    stderr: bytes


@value
class InputArrived:
    """More standard input for an interactive run; nothing comes after `end`."""

    sequence: int
    data: bytes
    end: bool


@value
class WallDue:
    """The time that a run may take, as counted from its RunBegan, is over, or a long stretch of it."""

    slot: int
    sequence: int


@value
class OfferChanged:
    """The platform takes other kinds of tasks than before."""


@value
class RunsEnded:
    slot: int
    ended: tuple[Ended, ...]


Event: TypeAlias = (
    ConnectWanted
    | DisconnectWanted
    | WorkersWanted
    | DrainWanted
    | LinkOpened
    | LinkLost
    | PeerFaulted
    | ReconnectDue
    | ListingAsked
    | RunAsked
    | InputArrived
    | InputTaken
    | CancelAsked
    | SlotReady
    | SlotLost
    | SlotSpent
    | SlotDue
    | UnwantedDue
    | BalanceDue
    | RunBegan
    | WallDue
    | OutputWritten
    | OfferChanged
    | RunsEnded
)
