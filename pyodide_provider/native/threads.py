"""Programs with threads (wasi-threads): a run, from its first thread to its end. Imports wasmtime and the core's data.

Each thread is an instance of the same module in a store of its own, over one shared memory. A run is over when its first
thread returns, or any calls `proc_exit` or traps. Nothing stops a thread that computes or waits then: the process is spent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing

from wasmtime import (
    Engine,
    FuncType,
    InstancePre,
    Linker,
    MemoryType,
    SharedMemory,
    Store,
    Trap,
    ValType,
    WasiConfig,
    WasmtimeError,
)
from wasmtime import Limits as Pages

from ..core.run import Failed, Limits
from ..errors import HostFault, TaskFault
from .crew import FIRST, Crew
from .limits import threads_text
from .live_calls import OVER
from .live_stdin import LiveStdin, is_live
from .no_stdin import NoStdin
from .ran import PAGE, Given, Ran, too_much, why
from .raw_calls import Values, call_raw, define_memory, define_raw, exported, integers
from .shared_wasi import PREVIEW1, Calls, SharedWasi
from .streams import Streams
from .threaded import Threaded
from .traps import cause
from .wasmtime_c import call_start, instantiate

NATIVE_STACK = 4 << 20
"""Bytes of a thread's stack: a program's own, and what WASI's functions take."""
TABLE_LIMIT = 100_000
"""Elements of a thread's tables."""
GRACE = 0.05
"""Seconds that threads have to end after their run."""
OWN_MEMORY = "a program with threads has one memory, the shared one that it imports"
I32 = ValType.i32()


class Threads:
    """Of one engine; a program at a time."""

    def __init__(self, engine: Engine, streams: Streams) -> None:
        self._engine = engine
        self._streams = streams
        self._calls: Calls | None = None
        self._last: _Process | None = None

    def run(
        self,
        program: Threaded,
        given: Given,
        configure: Callable[[Given], WasiConfig],
        limits: Limits,
        begin: Callable[[], None],
    ) -> Ran:
        """Run a program to its end; `begin` is called right before it starts. Raises TaskFault, HostFault or OSError."""
        minimum, most = program.pages.min, limits.memory // PAGE
        if minimum > most:
            return Ran(Failed(too_much(minimum, limits)), 0)
        if self._calls is None:
            self._calls = Calls(self._engine)
            threading.stack_size(NATIVE_STACK)
        process = self._made(program, given, configure, limits)
        begin()
        self._last = process
        ended = process.run()
        used = process.memory.data_len()
        if isinstance(ended, int):
            return Ran(ended, used)
        if isinstance(ended, str):
            return Ran(Failed(ended), used)
        text = OWN_MEMORY if "exceeds memory limits" in str(ended) else why(ended, used, limits)
        return Ran(Failed(self._streams.with_tail(text)), used)

    def _made(self, program: Threaded, given: Given, configure: Callable[[Given], WasiConfig], limits: Limits) -> _Process:
        assert self._calls is not None
        pages = Pages(program.pages.min, min(program.pages.max or 0, limits.memory // PAGE))
        with ExitStack() as failing:
            stdin = None
            none = given.stdin == b""
            if isinstance(given.stdin, str) and is_live(given.stdin):
                stdin = failing.enter_context(closing(LiveStdin(given.stdin)))
                given = given._replace(stdin=b"")
            try:
                memory = SharedMemory(self._engine, MemoryType(pages, shared=True))
                process = _Process(self._engine, self._calls, program, configure(given), stdin, memory, limits, none)
            except WasmtimeError as error:
                raise HostFault(f"wasmtime could not be set up: {cause(error)}") from None
            # It closes its stdin itself.
            failing.pop_all()
        return process

    def spent(self) -> bool:
        """Whether there are threads of the last run that don't end."""
        process, self._last = self._last, None
        if process is None:
            return False
        if not process.gone.wait(GRACE):
            return True
        process.close()
        return False


class _Process:
    """One run, whose threads end it with an exit code, an error of wasmtime's, or what we say."""

    def __init__(
        self,
        engine: Engine,
        calls: Calls,
        program: Threaded,
        config: WasiConfig,
        stdin: LiveStdin | None,
        memory: SharedMemory,
        limits: Limits,
        none: bool,
    ) -> None:
        """`none`: it was given no standard input."""
        self._engine = engine
        self._stdin = stdin
        self.memory = memory
        self._crew = crew = Crew(limits.threads, threads_text(limits), self._thread)
        source = NoStdin(crew) if none else stdin
        self._wasi = SharedWasi(calls, engine, config, memory, crew.over, source)
        self.gone = crew.gone
        self._linker = linker = Linker(engine)
        linker.define_wasi()
        linker.allow_shadowing = True
        self._kept = self._wasi.define(linker)
        self._kept.append(define_raw(linker, PREVIEW1, "proc_exit", FuncType([I32], []), self._proc_exit))
        if program.spawns:
            self._kept.append(define_raw(linker, "wasi", "thread-spawn", FuncType([I32], [I32]), self._spawn))
        with Store(engine) as store:
            define_memory(linker, store, *program.memory, memory)
        try:
            self._linked: InstancePre = linker.instantiate_pre(program.module)
        except WasmtimeError as error:
            raise TaskFault(" ".join(str(error).split())[:1000]) from None

    def run(self) -> int | str | Trap | WasmtimeError:
        """Raises HostFault."""
        ended = self._crew.run()
        self._wasi.end()
        if isinstance(ended, HostFault):
            raise ended
        return ended

    def close(self) -> None:
        """When all threads have ended."""
        if self._stdin is not None:
            self._stdin.close()

    def _proc_exit(self, values: Values, count: int) -> str:
        self._crew.end(values[0].i32 & 0xFF)
        return OVER

    def _spawn(self, values: Values, count: int) -> str:
        number = self._crew.spawn(values[0].i32)
        if number is None:
            return OVER
        values[0].i64 = number & 0xFFFF_FFFF
        return ""

    def _thread(self, number: int, argument: int) -> None:
        try:
            with Store(self._engine) as store:
                store.set_wasi(WasiConfig())
                store.set_limits(memory_size=0, table_elements=TABLE_LIMIT)
                instance = instantiate(store, self._linked)
                self._crew.entered()
                if number == FIRST:
                    call_start(store, instance)
                    self._crew.end(0)
                else:
                    values, count = integers(number, argument)
                    error = call_raw(store, exported(store, instance, "wasi_thread_start"), values, count)
                    if error:
                        self._crew.end(error)
        except (Trap, WasmtimeError) as error:
            self._crew.end(error)
        except MemoryError:
            self._crew.end("the worker is out of memory")
        finally:
            self._crew.left(number)
