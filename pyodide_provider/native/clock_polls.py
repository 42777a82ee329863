"""`poll_oneoff` for clocks alone, done by the thread that waits (WASI preview 1). Standard library only.

With descriptors among what it asks for it is never long, since files and streams can always be read and written.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable

SUBSCRIPTION = struct.Struct("<QB7xI4xQQH6x")
"""userdata, tag; of a clock: id, timeout, precision, flags."""
EVENT = struct.Struct("<QHB21x")
"""userdata, error, type; what is of descriptors is zero."""
CLOCK, ABSOLUTE, REALTIME, MONOTONIC = 0, 1, 0, 1
assert SUBSCRIPTION.size == 48
assert EVENT.size == 32


class Memory:
    """Of a program: where it begins here, and its size now."""

    def __init__(self, base: int, size: Callable[[], int]) -> None:
        self._base = base
        self._size = size

    def holds(self, at: int, length: int, align: int) -> bool:
        return not at % align and at + length <= self._size()

    def read(self, at: int, length: int) -> bytes:
        return ctypes.string_at(self._base + at, length)

    def write(self, at: int, data: bytes) -> None:
        ctypes.memmove(self._base + at, data, len(data))


def due_times(memory: Memory, at: int, count: int, monotonic: Callable[[], int]) -> list[tuple[int, int]] | None:
    """(userdata, nanoseconds by `monotonic`) of each; None unless all are clocks, and nothing is wrong with them."""
    if not count or not memory.holds(at, count * SUBSCRIPTION.size, 8):
        return None
    now, wall = monotonic(), time.time_ns()
    due = []
    for userdata, tag, clock, timeout, _, flags in SUBSCRIPTION.iter_unpack(memory.read(at, count * SUBSCRIPTION.size)):
        if tag != CLOCK or clock > MONOTONIC or flags > ABSOLUTE:
            return None
        if not flags:
            timeout += now
        elif clock == REALTIME:
            timeout += now - wall
        due.append((userdata, timeout))
    return due


def write_events(memory: Memory, at: int, got: int, ready: list[int]) -> bool:
    """Tell which came, by their userdata, and how many. False where there is no room for that."""
    if not (memory.holds(at, len(ready) * EVENT.size, 8) and memory.holds(got, 4, 4)):
        return False
    memory.write(at, b"".join([EVENT.pack(userdata, 0, CLOCK) for userdata in ready]))
    memory.write(got, len(ready).to_bytes(4, "little"))
    return True
