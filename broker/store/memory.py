"""Blobs in memory, for `:memory:`. Imports the store's own modules."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

from broker.store.catalogue import Blob
from broker.store.store import Incoming


class MemoryIncoming:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._chunks: list[bytes] = []
        self._lock = threading.Lock()
        self._over = False

    def write(self, data: bytes) -> None:
        with self._lock:
            if not self._over:
                self._hash.update(data)
                self._chunks.append(data)

    def finish(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def discard(self) -> None:
        with self._lock:
            self._over = True
            self._chunks.clear()

    def content(self) -> bytes:
        return b"".join(self._chunks)


class MemoryStore:
    """The catalogue holds the blobs themselves, so there is nothing else to keep."""

    def open(self) -> tuple[list[tuple[Blob, float]], dict[str, str]]:
        return [], {}

    def incoming(self) -> MemoryIncoming:
        return MemoryIncoming()

    def keep(self, incoming: Incoming | None, blob: Blob, name: str | None, used: float) -> Blob:
        if incoming is None:
            return blob
        assert isinstance(incoming, MemoryIncoming)
        return replace(blob, data=incoming.content())

    def remove(self, refs: list[str]) -> None:
        pass

    def touch(self, used: list[tuple[float, str]]) -> None:
        pass

    def close(self) -> None:
        pass
