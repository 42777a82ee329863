"""What can happen to a provider, in the past tense. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .run import Ended, Outcome, Run


@dataclass(frozen=True, slots=True)
class ConnectWanted:
    """A person or the start-up asks for a broker; also ends a back-off at once."""


@dataclass(frozen=True, slots=True)
class DisconnectWanted:
    """A person asks to leave: finish nothing more, stay away until ConnectWanted."""


@dataclass(frozen=True, slots=True)
class WorkersWanted:
    """Run this many tasks at once from now on (0: take none)."""

    count: int


@dataclass(frozen=True, slots=True)
class DrainWanted:
    """Take no more, finish what runs, then end."""


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The socket to the broker is up."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The socket is gone, or never came up; `reason` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class PeerFaulted:
    """The broker broke the protocol or fell silent; `reason` is sent to it."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReconnectDue:
    """A back-off is over; `attempt` is the number of the attempt it waited for."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ListingAsked:
    """The broker's handshake: answered when every worker is up."""

    sequence: int


@dataclass(frozen=True, slots=True)
class RunAsked:
    run: Run


@dataclass(frozen=True, slots=True)
class CancelAsked:
    sequence: int
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class SlotReady:
    slot: int


@dataclass(frozen=True, slots=True)
class SlotLost:
    """A worker died, or could not start. `outcome` is how the run that it died of ends: Broken when None."""

    slot: int
    reason: str
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class SlotSpent:
    """A worker has answered what it did, and can do no more."""

    slot: int


@dataclass(frozen=True, slots=True)
class SlotDue:
    """The rest of a slot whose predecessors died at once is over."""

    slot: int


@dataclass(frozen=True, slots=True)
class UnwantedDue:
    """A cancelled run has had its time to end by itself."""

    slot: int
    sequence: int


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The program of a run with a limit of time starts now: fetching and compiling are over."""

    slot: int
    sequence: int


@dataclass(frozen=True, slots=True)
class OutputWritten:
    """What a run that is followed has written since the last one; its end holds all of it still."""

    slot: int
    sequence: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class InputArrived:
    """More standard input for an interactive run; nothing comes after `end`."""

    sequence: int
    data: bytes
    end: bool


@dataclass(frozen=True, slots=True)
class WallDue:
    """The time that a run may take, as counted from its RunBegan, is over, or a long stretch of it."""

    slot: int
    sequence: int


@dataclass(frozen=True, slots=True)
class OfferChanged:
    """The platform takes other kinds of tasks than before."""


@dataclass(frozen=True, slots=True)
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
    | CancelAsked
    | SlotReady
    | SlotLost
    | SlotSpent
    | SlotDue
    | UnwantedDue
    | RunBegan
    | WallDue
    | OutputWritten
    | OfferChanged
    | RunsEnded
)
