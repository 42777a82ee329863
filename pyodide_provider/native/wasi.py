"""One run of a WASI program on wasmtime, from its parameters to its outcome. Imports wasmtime and the core's data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import wasmtime
from wasmtime import FuncType, InstancePre, Linker, Module, Store, Trap, ValType, WasiConfig, WasmtimeError

from ..core.run import Failed, Limits
from ..errors import HostFault, TaskFault
from . import slashes
from .ran import Given, Ran, why
from .streams import Streams
from .threaded import Threaded, find
from .traps import cause, module_fault
from .unstable import Unstable, renamed
from .wasmtime_c import call_start, instantiate, memory_size, set_stdin

if TYPE_CHECKING:
    from .threads import Threads

TABLE_LIMIT = 10_000_000
"""Elements of its tables, as browsers have it."""
STACK = 1 << 20
"""Bytes of a program's stack, about what a browser gives a worker."""

MAGIC = b"\0asm"
COMPONENT = MAGIC + b"\x0d\0\1\0"


class Exit(Exception):
    """Ends a program, from within proc_exit: wasmtime's own takes only codes below 126."""

    def __init__(self, code: int) -> None:
        self.code = code


def _proc_exit(code: int) -> None:
    raise Exit(code)


def make_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.max_wasm_stack = STACK
    # Compiled code is the same with and without.
    config.shared_memory = True
    return wasmtime.Engine(config)


class Wasi:
    """WASI preview 1 on one engine; a program at a time."""

    def __init__(self, streams: Streams) -> None:
        self.engine = make_engine()
        self._streams = streams
        self._stdout_path, self._stderr_path = streams.paths
        self._linker = Linker(self.engine)
        self._linker.define_wasi()
        self._linker.allow_shadowing = True
        exit_type = FuncType([ValType.i32()], [])
        self._linker.define_func("wasi_snapshot_preview1", "proc_exit", exit_type, _proc_exit)
        self._unstable = Unstable(self.engine, self._linker)
        self._slashes = slashes.define(self.engine, self._linker)
        self._threads: Threads | None = None

    def compile(self, wasm: bytes) -> Module:
        """Raises TaskFault, with what is wrong and where."""
        if wasm[:8] == COMPONENT:
            raise TaskFault("this is a WebAssembly component; only core modules for WASI preview 1 are taken")
        if wasm[:4] != MAGIC:
            raise TaskFault("not a WebAssembly module: it does not begin with \\0asm")
        try:
            return Module(self.engine, renamed(wasm))
        except WasmtimeError as error:
            raise TaskFault(f"not a WebAssembly module that wasmtime can run: {module_fault(error)}") from None

    def link(self, module: Module) -> InstancePre | Threaded:
        """A module with its imports found. Raises TaskFault naming those that are not WASI's, or a missing _start."""
        start = next((export.type for export in module.exports if export.name == "_start"), None)
        if not isinstance(start, FuncType):
            raise TaskFault("no _start function: the module is not a WASI command")
        if start.params or start.results:
            raise TaskFault("the _start function takes or returns something: the module is not a WASI command")
        threaded = find(module)
        if missing := self._missing(module, threaded):
            raise TaskFault(f"unknown import: {missing}")
        if threaded is not None:
            return threaded
        try:
            return self._linker.instantiate_pre(module)
        except WasmtimeError as error:
            raise TaskFault(" ".join(str(error).split())[:1000]) from None

    def _missing(self, module: Module, threaded: Threaded | None) -> str:
        store = Store(self.engine)
        missing = []
        for wanted in module.imports:
            if threaded is not None and threaded.has(wanted):
                continue
            try:
                self._linker.get(store, wanted.module, wanted.name or "")
            except WasmtimeError:
                kind = type(wanted.type).__name__.removesuffix("Type").replace("Func", "Function").lower()
                missing.append(f"{wanted.module}.{wanted.name} ({kind})")
        return ", ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")

    def run(self, program: InstancePre | Threaded, given: Given, limits: Limits, begin: Callable[[], None]) -> Ran:
        """Run a program to its end; `begin` is called right before it starts, when nothing of an earlier run is left."""
        if isinstance(program, Threaded):
            return self._run_threads(program, given, limits, begin)
        instance = None
        self._unstable.forget()
        self._slashes.forget()
        with Store(self.engine) as store:
            try:
                store.set_wasi(self._configure(given))
            except WasmtimeError as error:
                raise HostFault(f"wasmtime could not be set up: {cause(error)}") from None
            store.set_limits(memory_size=limits.memory, table_elements=TABLE_LIMIT)
            begin()
            try:
                instance = instantiate(store, program)
                call_start(store, instance)
                return Ran(0, memory_size(store, instance))
            except Exit as ended:
                return Ran(ended.code & 0xFF, memory_size(store, instance) if instance else 0)
            except (Trap, WasmtimeError) as error:
                used = memory_size(store, instance) if instance else 0
                return Ran(Failed(self._streams.with_tail(why(error, used, limits))), used)

    def _run_threads(self, program: Threaded, given: Given, limits: Limits, begin: Callable[[], None]) -> Ran:
        if self._threads is None:
            # Most workers never need it, and each that is killed is replaced.
            from .threads import Threads

            self._threads = Threads(self.engine, self._streams)
        return self._threads.run(program, given, self._configure, limits, begin)

    def spent(self) -> bool:
        """Whether there are threads of the last run that don't end."""
        return self._threads is not None and self._threads.spent()

    def _configure(self, given: Given) -> WasiConfig:
        config = WasiConfig()
        config.argv = list(given.args)
        if given.envs:
            config.env = [env.split("=", 1) for env in given.envs]
        if isinstance(given.stdin, str):
            config.stdin_file = given.stdin
        elif given.stdin:
            set_stdin(config, given.stdin)
        config.stdout_file = self._stdout_path
        config.stderr_file = self._stderr_path
        config.preopen_dir(given.root, "/")
        return config
