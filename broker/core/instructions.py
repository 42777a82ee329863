"""What the broker's core asks its shell to do, in the imperative. Pure data."""

from __future__ import annotations

from typing import TypeAlias

from .outcome import Outcome
from .task import Provider, Run, Task
from .value import value


@value
class Assign:
    """Send the run to its provider."""

    run: Run


@value
class Cancel:
    """Tell the provider to stop a run; `sequence` is that of the Cancel request."""

    run: Run
    sequence: int
    reason: str


@value
class Resolve:
    """Tell the client how its task ended: once for every task."""

    task: Task
    outcome: Outcome


@value
class AskListing:
    provider: Provider
    sequence: int


@value
class SendPing:
    provider: Provider
    sequence: int


@value
class Drop:
    """Close a provider's socket; it counts as lost already."""

    provider: Provider
    code: int
    reason: str


@value
class WakeAt:
    """Tell TimePassed at this time; it takes the place of any other that was asked for."""

    when: float


@value
class TellCluster:
    """Tell everyone how many providers there are."""

    providers: int


Instruction: TypeAlias = Assign | Cancel | Resolve | AskListing | SendPing | Drop | WakeAt | TellCluster
