"""WASI's calls for standard input that comes while a program with threads runs: in front of wasmtime's own."""

from __future__ import annotations

import threading
from functools import partial

from .live_stdin import Source
from .polls import Memory
from .raw_calls import Callback, Values

OUTSIDE = "out of bounds memory access: a pointer given to WASI is outside of the memory"
OVER = "the program has ended"
_U32 = 0xFFFF_FFFF


class LiveCalls:
    """Of one run; `lock` is held by whoever calls wasmtime."""

    def __init__(self, stdin: Source, memory: Memory, lock: threading.Lock, over: threading.Event) -> None:
        self._stdin = stdin
        self._memory = memory
        self._lock = lock
        self._over = over

    def before(self, name: str, call: Callback) -> Callback:
        """A call of that name, which is wasmtime's unless it has to do with the input."""
        mine = {"fd_read": self._read, "fd_close": self._close, "fd_renumber": self._renumber}.get(name)
        return call if mine is None else partial(mine, call)

    def _read(self, call: Callback, values: Values, count: int) -> str:
        descriptor, vectors, length, got = (values[place].i32 & _U32 for place in range(4))
        if descriptor != self._stdin.descriptor:
            return call(values, count)
        if not (self._memory.holds(vectors, 8 * length, 4) and self._memory.holds(got, 4, 4)):
            return OUTSIDE
        room, size = self._room(vectors, length)
        if not self._memory.holds(room, size, 1):
            return OUTSIDE
        while size and self._stdin.wait():
            with self._lock:
                if self._over.is_set():
                    return OVER
                if descriptor != self._stdin.descriptor:
                    break
                data = self._stdin.read(size)
                if data is not None:
                    self._memory.write(room, data)
                    self._memory.write(got, len(data).to_bytes(4, "little"))
                    values[0].i64 = 0
                    return ""
        return call(values, count)

    def _room(self, vectors: int, length: int) -> tuple[int, int]:
        """The first part of a vector that is not empty, as wasmtime takes one a call."""
        for place in range(length):
            part = self._memory.read(vectors + 8 * place, 8)
            if size := int.from_bytes(part[4:], "little"):
                return int.from_bytes(part[:4], "little"), size
        return 0, 0

    def _close(self, call: Callback, values: Values, count: int) -> str:
        descriptor = values[0].i32 & _U32
        stop = call(values, count)
        if not stop and not values[0].i32:
            self._stdin.closed(descriptor)
        return stop

    def _renumber(self, call: Callback, values: Values, count: int) -> str:
        old, new = values[0].i32 & _U32, values[1].i32 & _U32
        stop = call(values, count)
        if not stop and not values[0].i32:
            self._stdin.moved(old, new)
        return stop
