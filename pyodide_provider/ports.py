"""What a platform (browser, native) gives the runtime. Protocols only; imports the core's data.

Everything is synchronous and answers by events fed to `Runtime.feed` or frames given to `Runtime.receive`: in the tab
these calls come straight from a JavaScript callback, natively from asyncio, and neither waits for a turn of a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .core.run import Run


class Transport(Protocol):
    """One WebSocket to the broker at a time. Answers: LinkOpened, `Runtime.receive(frame)`, LinkLost."""

    def open(self) -> None: ...

    def send(self, frame: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Slots(Protocol):
    """The workers. Answers: SlotReady, SlotLost, RunsEnded."""

    def start(self, slot: int) -> None: ...

    def stop(self, slot: int) -> None: ...

    def post(self, slot: int, runs: Sequence[Run]) -> None: ...


class Blobs(Protocol):
    """Blobs held here: those a broker pushed with Filesystem.Upload, and what the cache tells of the fetched ones."""

    def refs(self) -> Sequence[str]: ...

    def has(self, ref: str) -> bool: ...

    def put(self, blob: bytes, media: str) -> str:
        """Keep a blob, give back its ref. Raises UsageError when it is too large to keep."""
        ...


class Clock(Protocol):
    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Status:
    """What a person sees of a provider. `running` are task ids; `done` and `failed` count since the start."""

    link: str
    """"idle", "connecting", "connected", "waiting" (for a reconnect) or "draining"."""
    workers: int
    ready: int
    running: tuple[str, ...]
    queued: int
    done: int
    failed: int
    peers: int
    """Providers connected to the broker, by its last ClusterInfo."""
    throughput: float
    """Tasks per second over all providers, by the broker's last Throughput."""
    reason: str
    """Why the link is down, in words; "" when it is up."""


class StatusSink(Protocol):
    def show(self, status: Status) -> None:
        """Called when something changed, at most a few times a second."""
        ...

    def log(self, line: str) -> None: ...

    def finished(self) -> None:
        """Drained: the platform ends."""
        ...
