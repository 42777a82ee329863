"""What keeps the bytes, as `Blobs` sees it: on disk or in memory. All of it blocks: call it in a thread."""

from __future__ import annotations

from typing import Protocol

from broker.store.catalogue import Blob


class Incoming(Protocol):
    """Bytes that are still arriving. Methods may come from different threads."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> str:
        """All is there and safe on disk; gives its ref."""
        ...

    def discard(self) -> None:
        """Forget it all, whatever state it is in; what comes later does nothing."""
        ...


class Store(Protocol):
    """One call of `open`, `keep`, `remove` and `close` at a time."""

    def open(self) -> tuple[list[tuple[Blob, float]], dict[str, str]]:
        """What is there: blobs with the time of their last use, oldest first, and names. Raises UsageError."""
        ...

    def incoming(self) -> Incoming: ...

    def keep(self, incoming: Incoming | None, blob: Blob, name: str | None, used: float) -> Blob:
        """Keep what has arrived (None: it is here already) as `blob`, under a name too if there is one.

        All or nothing, also when the process is killed. Gives the blob with its place.
        """
        ...

    def remove(self, refs: list[str]) -> None: ...

    def touch(self, used: list[tuple[float, str]]) -> None:
        """Write down when blobs were last used."""
        ...

    def close(self) -> None: ...
