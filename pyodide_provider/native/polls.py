"""`poll_oneoff` for clocks, and for input that is still to come: done by the thread that waits (WASI preview 1).

Standard library only. With other descriptors it never takes long, since files and streams can always be read and written.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

SUBSCRIPTION = struct.Struct("<QB7xI4xQQH6x")
"""userdata, tag, id of a clock or descriptor; of a clock: timeout, precision, flags."""
EVENT = struct.Struct("<QHB5xQ8x")
"""userdata, error, type; of a descriptor: bytes."""
CLOCK, READ = 0, 1
ABSOLUTE, REALTIME, MONOTONIC = 1, 0, 1
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


class Poll(NamedTuple):
    """What is waited for: (userdata, nanoseconds by the steady clock) of each clock, userdata of each wish to read stdin."""

    clocks: list[tuple[int, int]]
    stdin: list[int]

    @property
    def due(self) -> int | None:
        return min([due for _, due in self.clocks], default=None)


def read_poll(memory: Memory, at: int, count: int, monotonic: Callable[[], int], stdin: int | None = None) -> Poll | None:
    """None when there is more than clocks and reading of the descriptor `stdin`, or something is wrong with them."""
    if not count or not memory.holds(at, count * SUBSCRIPTION.size, 8):
        return None
    now, wall = monotonic(), time.time_ns()
    poll = Poll([], [])
    for userdata, tag, id, timeout, _, flags in SUBSCRIPTION.iter_unpack(memory.read(at, count * SUBSCRIPTION.size)):
        if tag == READ and id == stdin:
            poll.stdin.append(userdata)
            continue
        if tag != CLOCK or id > MONOTONIC or flags > ABSOLUTE:
            return None
        if not flags:
            timeout += now
        elif id == REALTIME:
            timeout += now - wall
        poll.clocks.append((userdata, timeout))
    return poll


def write_events(memory: Memory, at: int, got: int, poll: Poll, now: int, readable: bool) -> bool:
    """Tell what has come, and how much of it. False where there is no room for that."""
    events = [EVENT.pack(userdata, 0, CLOCK, 0) for userdata, due in poll.clocks if due <= now]
    if readable:
        events += [EVENT.pack(userdata, 0, READ, 1) for userdata in poll.stdin]
    if not (memory.holds(at, len(events) * EVENT.size, 8) and memory.holds(got, 4, 4)):
        return False
    memory.write(at, b"".join(events))
    memory.write(got, len(events).to_bytes(4, "little"))
    return True
