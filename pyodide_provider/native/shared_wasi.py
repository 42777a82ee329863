"""WASI for a program with threads: its descriptors, files and arguments are those of one store. Imports wasmtime.

A store of wasmtime is one thread's, and so are its descriptors. So each thread has a store of its own, whose calls are
handed to a single other one, a call at a time; clocks and random numbers need none of that. WASI's functions look for the
memory of the instance that calls them: in that store it is a small module which shares the program's memory.
"""

from __future__ import annotations

import threading
import time
from functools import partial

from wasmtime import Engine, Func, FuncType, Linker, Module, SharedMemory, Store, WasiConfig

from .live_calls import OUTSIDE, OVER, LiveCalls
from .live_stdin import LiveStdin, Source
from .polls import Memory, Poll, read_poll, write_events
from .raw_calls import Callback, RawFunc, Values, call_raw, define_memory, define_raw, exported
from .slashes import NAME as REMOVE
from .slashes import STRIP
from .traps import cause
from .wasmtime_c import instantiate

PREVIEW1 = "wasi_snapshot_preview1"
MOST_SUBSCRIPTIONS = 65_536
"""Of one poll: they are copied."""
EINVAL = 28
"""Of WASI."""
LONGEST = 3600.0
"""Seconds of one wait; there may be more of them."""
_NAMES = (
    "args_get args_sizes_get environ_get environ_sizes_get fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get"
    " fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread"
    " fd_prestat_dir_name fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write"
    " path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink"
    " path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff sock_accept sock_recv sock_send"
    " sock_shutdown"
)
NAMES = tuple(_NAMES.split())
"""The others are of no descriptor: each thread's own store does them."""


class Calls:
    """WASI's functions by their types, and the small module that calls them. The same for all programs of an engine."""

    def __init__(self, engine: Engine) -> None:
        linker, store = Linker(engine), Store(engine)
        linker.define_wasi()
        self.kinds: dict[str, FuncType] = {}
        parts = ['(import "program" "memory" (memory 0 65536 shared)) (export "memory" (memory 0))']
        for name in NAMES:
            function = linker.get(store, PREVIEW1, name)
            assert isinstance(function, Func)
            kind = self.kinds[name] = function.type(store)
            params = " ".join(map(str, kind.params))
            parts.append(f'(import "{PREVIEW1}" "{name}" (func ${name} (param {params}) (result i32)))')
        for name, kind in self.kinds.items():
            params = " ".join(map(str, kind.params))
            given = "".join(f"(local.get {place})" for place in range(len(kind.params)))
            before = STRIP if name == REMOVE else ""
            parts.append(f'(func (export "{name}") (param {params}) (result i32) {before} (call ${name} {given}))')
        self.module = Module(engine, f"(module {' '.join(parts)})")


class SharedWasi:
    """Of one run. From `end` on no call does anything any more: each ends the thread that makes it."""

    def __init__(
        self,
        calls: Calls,
        engine: Engine,
        config: WasiConfig,
        memory: SharedMemory,
        over: threading.Event,
        stdin: Source | None = None,
    ) -> None:
        """`over`: that the run is; `stdin`: instead of the config's. Raises WasmtimeError."""
        self.over = over
        self._lock = threading.Lock()
        self._calls = calls
        self._memory = Memory(_address(memory), memory.data_len)
        # A poll for one that was not given is wasmtime's.
        self._stdin = stdin if isinstance(stdin, LiveStdin) else None
        self._live = None if stdin is None else LiveCalls(stdin, self._memory, self._lock, self.over)
        self._store = Store(engine)
        self._store.set_wasi(config)
        linker = Linker(engine)
        linker.define_wasi()
        define_memory(linker, self._store, "program", "memory", memory)
        instance = instantiate(self._store, linker.instantiate_pre(calls.module))
        self._functions = {name: exported(self._store, instance, name) for name in NAMES}

    def define(self, linker: Linker) -> list[object]:
        """Put the calls into a program's linker; what comes back is to be kept as long as that."""
        kept = []
        for name, kind in self._calls.kinds.items():
            call: Callback = partial(self._call, self._functions[name])
            if name == "poll_oneoff":
                call = partial(self._poll, call)
            elif self._live is not None:
                call = self._live.before(name, call)
            kept.append(define_raw(linker, PREVIEW1, name, kind, call))
        return kept

    def end(self) -> None:
        """Stop all calls; none is under way when this returns."""
        self.over.set()
        if self._stdin is not None:
            self._stdin.end()
        with self._lock:
            self._store.close()

    def _call(self, function: RawFunc, values: Values, count: int) -> str:
        with self._lock:
            if self.over.is_set():
                return OVER
            error = call_raw(self._store, function, values, count)
        return cause(error) if error else ""

    def _poll(self, call: Callback, values: Values, count: int) -> str:
        at, to, subscriptions, got = (values[place].i32 & 0xFFFF_FFFF for place in range(4))
        if subscriptions > MOST_SUBSCRIPTIONS:
            values[0].i64 = EINVAL
            return ""
        stdin = None if self._stdin is None else self._stdin.descriptor
        poll = read_poll(self._memory, at, subscriptions, time.monotonic_ns, stdin)
        if poll is None:
            return call(values, count)
        readable = self._wait(poll)
        if self.over.is_set():
            return OVER
        if not write_events(self._memory, to, got, poll, time.monotonic_ns(), readable):
            return OUTSIDE
        values[0].i64 = 0
        return ""

    def _wait(self, poll: Poll) -> bool:
        """Until a clock is due or, when that is waited for, there is input: true if there is."""
        while True:
            left = None if poll.due is None else max(poll.due - time.monotonic_ns(), 0) / 1e9
            seconds = min(LONGEST if left is None else left, LONGEST)
            if poll.stdin and self._stdin is not None:
                readable = self._stdin.wait(seconds)
            else:
                readable = False
                self.over.wait(seconds)
            if readable or left == 0 or self.over.is_set():
                return readable


def _address(memory: SharedMemory) -> int:
    import ctypes

    return ctypes.addressof(memory.data_ptr().contents)
