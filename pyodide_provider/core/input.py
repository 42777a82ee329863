"""Standard input of interactive runs, from when they are asked for until they end. Pure.

What comes before a run is at a slot is kept here; from then on the slot has all of it, and says how much its program has
taken. That is passed on to who sends, and who sends too far ahead of it ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .run import Ended, Run

MAX_INPUT = 8 << 20
"""Bytes of one run that its program has not taken. A broker gives another attempt at a task up to 4 MiB at once, and who sends
may be ahead of the attempt before.
"""
MAX_KEPT = 64 << 20
"""Bytes kept for runs that are at no slot yet, together."""
OVERFED = f"input limit exceeded: more than {MAX_INPUT} bytes that the program has not read"
FULL = f"provider queue full: it holds {MAX_KEPT >> 20} MiB of input"


@dataclass(slots=True)
class _Input:
    given: int
    """Bytes that came with the request."""
    size: int = 0
    taken: int = 0
    ended: bool = False
    slot: int | None = None
    kept: bytearray = field(default_factory=bytearray)


class Inputs:
    """Of all interactive runs that are owed an answer, by their sequence."""

    def __init__(self) -> None:
        self.kept = 0
        self._inputs: dict[int, _Input] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self._inputs)

    def open(self, run: Run) -> None:
        """An interactive one."""
        given = run.params.stdin
        assert isinstance(given, bytes)
        self._inputs[run.sequence] = _Input(len(given))

    def arrived(self, sequence: int, data: bytes, end: bool) -> int | str | None:
        """The slot that is to get it, None when it is kept or means nothing, or why there is more than may be."""
        known = self._inputs.get(sequence)
        if known is None or known.ended or not (data or end):
            return None
        known.size += len(data)
        if known.size - known.taken > MAX_INPUT:
            return OVERFED
        known.ended = end
        if known.slot is not None:
            return known.slot
        if self.kept + len(data) > MAX_KEPT:
            return FULL
        self.kept += len(data)
        known.kept += data
        return None

    def posted(self, sequence: int, slot: int) -> tuple[bytes, bool]:
        """A run is at a slot now: what was kept for it, and whether that is all."""
        known = self._inputs[sequence]
        known.slot = slot
        kept, known.kept = bytes(known.kept), bytearray()
        self.kept -= len(kept)
        return kept, known.ended

    def taken(self, sequence: int, taken: int) -> int | None:
        """A program has taken so much, what came with the request included. Gives how much of the rest, if that is news."""
        known = self._inputs.get(sequence)
        more = 0 if known is None else min(taken - known.given, known.size)
        if known is None or more <= known.taken:
            return None
        known.taken = more
        return more

    def close(self, sequence: int, ended: Ended | None) -> Ended | None:
        """A run is answered. Gives its end with the bytes that came, which its slot does not count."""
        known = self._inputs.pop(sequence)
        self.kept -= len(known.kept)
        if ended is None or ended.usage is None:
            return ended
        return replace(ended, usage=replace(ended.usage, bytes_in=ended.usage.bytes_in + known.size))

    def clear(self) -> None:
        self._inputs.clear()
        self.kept = 0

    def validate(self) -> None:
        """Raises AssertionError."""
        assert self.kept == sum(len(known.kept) for known in self._inputs.values()), "kept input is miscounted"
        assert all(known.slot is None or not known.kept for known in self._inputs.values()), "input is kept from its slot"
