"""Blobs that a broker pushed: kept here for workers to come, handed to those that are there."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ..wire.errors import UsageError

KEPT_BYTES = 64 << 20
"""All pushed blobs together; the oldest go first, and are fetched from the broker when they are needed."""


class PushedBlobs:
    """`ports.Blobs`. What workers fetch themselves lies in the browser's HTTP cache, which can't be listed."""

    def __init__(self) -> None:
        self.held: OrderedDict[str, bytes] = OrderedDict()
        self.pushed: Callable[[str, bytes], None] = lambda ref, blob: None
        self._bytes = 0

    def refs(self) -> Sequence[str]:
        return list(self.held)

    def has(self, ref: str) -> bool:
        return ref in self.held

    def put(self, blob: bytes, media: str) -> str:
        if len(blob) > KEPT_BYTES:
            raise UsageError(f"a blob of {len(blob)} bytes is too large to keep here, at most {KEPT_BYTES} are taken")
        ref = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        if ref not in self.held:
            self.held[ref] = blob
            self._bytes += len(blob)
            self.pushed(ref, blob)
        self.held.move_to_end(ref)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self.held.popitem(last=False)[1])
        return ref
