"""What can happen to a provider, in the past tense. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .run import Ended, Run


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
class ReconnectDue:
    """The back-off asked for by OpenLink(delay) is over."""


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
    """A worker died, or could not start."""

    slot: int
    reason: str


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
    | ReconnectDue
    | ListingAsked
    | RunAsked
    | CancelAsked
    | SlotReady
    | SlotLost
    | RunsEnded
)
