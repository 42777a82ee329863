"""Which blobs there are, by which names, and which may go when room is needed. Pure: standard library and errors only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from broker.errors import Refused, StorageFull


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes by digest; either in a file at `path` or in `data`."""

    ref: str
    """"sha256:<64 hex>"."""
    media: str
    size: int
    created: float
    """Unix time."""
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class _Entry:
    blob: Blob
    used: float
    names: int = 0


class Catalogue:
    """All operations but `make_room` are O(1). Times are unix seconds, given by the caller."""

    def __init__(self, *, max_bytes: int, max_blobs: int, max_names: int, keep_seconds: float) -> None:
        self.max_bytes = max_bytes
        self.max_blobs = max_blobs
        self.max_names = max_names
        self.keep_seconds = keep_seconds
        self.bytes = 0
        self.names: dict[str, str] = {}
        self._entries: dict[str, _Entry] = {}
        self._loose: OrderedDict[str, _Entry] = OrderedDict()
        """Those without a name, least recently used first."""
        self._touched: set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, ref: str) -> bool:
        return ref in self._entries

    def __iter__(self) -> Iterator[Blob]:
        return (entry.blob for entry in self._entries.values())

    def resolve(self, name: str, now: float) -> str | None:
        """The ref that a ref or a name stands for, if there is such a blob; it counts as used."""
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries.get(self.names.get(name, ""))
            if entry is None:
                return None
        ref = entry.blob.ref
        entry.used = now
        if not entry.names:
            self._loose.move_to_end(ref)
        self._touched.add(ref)
        return ref

    def get(self, ref: str, now: float) -> Blob | None:
        """The blob of a ref; it counts as used."""
        return self._entries[ref].blob if ref in self._entries and self.resolve(ref, now) else None

    def add(self, blob: Blob, used: float) -> None:
        """A blob added again takes the place of the former one, names and all."""
        known = self._entries.get(blob.ref)
        if known is not None:
            self.bytes += blob.size - known.blob.size
            known.blob = blob
            self.resolve(blob.ref, used)
            return
        self._entries[blob.ref] = self._loose[blob.ref] = _Entry(blob, used)
        self.bytes += blob.size

    def check_name(self, name: str) -> None:
        """Raises Refused when there is no room for another name."""
        if name not in self.names and len(self.names) >= self.max_names:
            raise Refused("resource_exhausted", f"there are {len(self.names)} names already: upload without one")

    def name(self, name: str, ref: str) -> None:
        """Let a name stand for a blob that is here; what it stood for before loses it."""
        former = self.names.get(name)
        if former == ref:
            return
        if former is not None:
            self._loosen(former)
        self.names[name] = ref
        entry = self._entries[ref]
        entry.names += 1
        self._loose.pop(ref, None)

    def _loosen(self, ref: str) -> None:
        entry = self._entries[ref]
        entry.names -= 1
        if not entry.names:
            self._loose[ref] = entry

    def make_room(self, size: int, now: float) -> list[str]:
        """Take out the least recently used blobs until another one of `size` bytes fits, and give their refs.

        Those with a name stay, and those used within the last `keep_seconds`. Raises StorageFull, and then all stay.
        """
        over_bytes = self.bytes + size - self.max_bytes
        over_blobs = len(self._entries) + 1 - self.max_blobs
        victims: list[str] = []
        for ref, entry in self._loose.items():
            if over_bytes <= 0 and over_blobs <= 0:
                break
            if entry.used > now - self.keep_seconds:
                continue
            victims.append(ref)
            over_bytes -= entry.blob.size
            over_blobs -= 1
        if over_bytes > 0 or over_blobs > 0:
            raise StorageFull(self._full())
        for ref in victims:
            self._remove(ref)
        return victims

    def _full(self) -> str:
        return (
            f"the storage is full ({self.bytes} of {self.max_bytes} bytes in {len(self._entries)} of {self.max_blobs} "
            f"files, all of them named or used within {self.keep_seconds:.0f} s): try later, or let the operator raise "
            "WASIMOFF_STORAGE_LIMIT"
        )

    def _remove(self, ref: str) -> None:
        self.bytes -= self._entries.pop(ref).blob.size
        del self._loose[ref]
        self._touched.discard(ref)

    def take_touched(self) -> list[tuple[float, str]]:
        """When which blobs were used since the last call."""
        touched = [(self._entries[ref].used, ref) for ref in self._touched]
        self._touched.clear()
        return touched
