"""What can happen to a broker, in the past tense. Pure data."""

from __future__ import annotations

from typing import Any, TypeAlias

from .task import KINDS, Provider, Task
from .value import value


@value
class ProviderConnected:
    provider: Provider


@value
class ProviderLost:
    provider: Provider
    reason: str


@value
class ResourcesAnnounced:
    provider: Provider
    concurrency: int
    own: bool = False
    engine: str = ""
    offers: frozenset[str] = KINDS
    """As it says: kinds of tasks, and what else it can do."""


@value
class FilesAnnounced:
    """What a provider holds (`sequence` set: the answer to a listing) or that changed."""

    provider: Provider
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    sequence: int = 0


@value
class PongArrived:
    provider: Provider
    sequence: int


@value
class RunAnswered:
    """A provider's answer to a run: the task's result, also when the task failed by its own fault."""

    provider: Provider
    sequence: int
    task: str
    """The task that the answer names; "": none."""
    answer: Any
    failed: bool
    cpu_seconds: float = 0.0
    """As the provider says."""


@value
class RunRefused:
    """A provider's infrastructure error in answer to a run (or to anything else it was asked)."""

    provider: Provider
    sequence: int
    error: str


@value
class TaskSubmitted:
    task: Task


@value
class TaskGrew:
    """A task holds so many bytes more in memory than before; less, when it is below 0."""

    task: Task
    size: int


@value
class TaskCancelled:
    task: Task
    reason: str


@value
class TimePassed:
    """The time that a WakeAt asked for has come."""


@value
class DrainStarted:
    """The broker is going down: take nothing new, hand back what waits, let finish what runs."""


Event: TypeAlias = (
    ProviderConnected
    | ProviderLost
    | ResourcesAnnounced
    | FilesAnnounced
    | PongArrived
    | RunAnswered
    | RunRefused
    | TaskSubmitted
    | TaskGrew
    | TaskCancelled
    | TimePassed
    | DrainStarted
)
