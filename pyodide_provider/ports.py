"""What a platform (browser, native) gives the runtime. Protocols only; imports the core's data.

Everything is synchronous and answers by events fed to `Runtime.feed` or frames given to `Runtime.receive`: in the tab
these calls come straight from a JavaScript callback, natively from asyncio, and neither waits for a turn of a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .core.run import Run
from .core.status import Status


class Transport(Protocol):
    """One WebSocket to the broker at a time. Answers: LinkOpened, `Runtime.receive(frame)`, LinkLost."""

    def open(self) -> None:
        """Connect. Answers once with LinkOpened or LinkLost, and after LinkOpened once with LinkLost."""
        ...

    def send(self, frame: bytes) -> None:
        """Queue a frame. A peer that reads nothing while 256 MiB wait is left: LinkLost."""
        ...

    def unsent(self) -> int:
        """Bytes of frames that wait for the peer to read."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close, or give up opening. Nothing more is heard of it, not even LinkLost; open() may follow at once."""
        ...


class Slots(Protocol):
    """The workers. Answers: SlotReady once, then RunsEnded; at any time SlotLost, after which nothing."""

    def start(self, slot: int) -> None: ...

    def stop(self, slot: int) -> None:
        """Kill it. Nothing is heard of that slot any more, not even SlotLost."""
        ...

    def post(self, slot: int, runs: Sequence[Run]) -> None:
        """Hand over runs; called at most once per slot and turn of the runtime, with all there is for it."""
        ...

    def cpu(self, slot: int, seconds: float) -> float:
        """Seconds of the processor that the run at hand has used, which began so many seconds ago; as far as it can be told."""
        ...

    def put(self, slot: int, sequence: int, data: bytes, end: bool) -> None:
        """More standard input for an interactive run that was posted; means nothing when that has ended."""
        ...


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


class StatusSink(Protocol):
    def show(self, status: Status) -> None:
        """Called when something changed, at most a few times a second."""
        ...

    def log(self, line: str) -> None: ...

    def finished(self) -> None:
        """Drained: the platform ends."""
        ...
