"""One run of a WASI program on wasmtime, from its parameters to its outcome. Imports wasmtime and the core's data."""

from __future__ import annotations

import os
from dataclasses import dataclass

import wasmtime
from wasmtime import FuncType, InstancePre, Linker, Module, Store, Trap, ValType, WasiConfig, WasmtimeError

from ..core.run import Exited, Failed, Params
from ..errors import HostFault, TaskFault
from .traps import cause, stop_text
from .wasmtime_c import call_start, set_stdin

MEMORY_LIMIT = 4 << 30
"""Bytes of linear memory of one run: all that 32 bits can address."""
TABLE_LIMIT = 10_000_000
"""Elements of its tables, as browsers have it."""
STACK = 1 << 20
"""Bytes of a program's stack, about what a browser gives a worker."""
STDERR_TAIL = 2000
"""Bytes of stderr that are told with a trap."""

MAGIC = b"\0asm"
MODULE = MAGIC + b"\1\0\0\0"
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
    return wasmtime.Engine(config)


@dataclass(frozen=True, slots=True)
class Streams:
    """Files in memory for stdout and stderr; who else has them can see their sizes when we can't tell any more."""

    stdout: int
    stderr: int

    @property
    def paths(self) -> tuple[str, str]:
        return f"/proc/self/fd/{self.stdout}", f"/proc/self/fd/{self.stderr}"


class Wasi:
    """WASI preview 1 on one engine; a program at a time. `output` bytes of stdout and stderr are taken together."""

    def __init__(self, streams: Streams, output: int) -> None:
        self.engine = make_engine()
        self._streams = streams
        self._stdout_path, self._stderr_path = streams.paths
        self._output = output
        self._linker = Linker(self.engine)
        self._linker.define_wasi()
        self._linker.allow_shadowing = True
        exit_type = FuncType([ValType.i32()], [])
        self._linker.define_func("wasi_snapshot_preview1", "proc_exit", exit_type, _proc_exit)

    def compile(self, wasm: bytes) -> Module:
        """Raises TaskFault, with what is wrong and where."""
        if wasm[:8] == COMPONENT:
            raise TaskFault("this is a WebAssembly component; only core modules for WASI preview 1 are taken")
        if wasm[:4] != MAGIC:
            raise TaskFault("not a WebAssembly module: it does not begin with \\0asm")
        try:
            return Module(self.engine, wasm)
        except WasmtimeError as error:
            raise TaskFault(f"not a WebAssembly module that wasmtime can run: {cause(error)}") from None

    def link(self, module: Module) -> InstancePre:
        """A module with its imports found. Raises TaskFault naming those that are not WASI's, or a missing _start."""
        start = next((export.type for export in module.exports if export.name == "_start"), None)
        if not isinstance(start, FuncType):
            raise TaskFault("no _start function: the module is not a WASI command")
        if start.params or start.results:
            raise TaskFault("the _start function takes or returns something: the module is not a WASI command")
        if missing := self._missing(module):
            raise TaskFault(f"unknown import: {missing}")
        try:
            return self._linker.instantiate_pre(module)
        except WasmtimeError as error:
            raise TaskFault(" ".join(str(error).split())[:1000]) from None

    def _missing(self, module: Module) -> str:
        store = Store(self.engine)
        missing = []
        for wanted in module.imports:
            try:
                self._linker.get(store, wanted.module, wanted.name or "")
            except WasmtimeError:
                kind = type(wanted.type).__name__.removesuffix("Type").replace("Func", "Function").lower()
                missing.append(f"{wanted.module}.{wanted.name} ({kind})")
        return ", ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")

    def run(self, program: InstancePre, params: Params, root: str) -> Exited | Failed:
        """Run a program to its end with the folder `root` as its "/"."""
        with Store(self.engine) as store:
            try:
                store.set_wasi(self._configure(params, root))
            except WasmtimeError as error:
                raise HostFault(f"wasmtime could not be set up: {cause(error)}") from None
            try:
                store.set_limits(memory_size=MEMORY_LIMIT, table_elements=TABLE_LIMIT)
                call_start(store, program.instantiate(store))
                status = 0
            except Exit as ended:
                status = ended.code & 0xFF
            except (Trap, WasmtimeError) as error:
                return Failed(self._with_stderr(stop_text(error)))
        return self._collect(status)

    def _configure(self, params: Params, root: str) -> WasiConfig:
        config = WasiConfig()
        config.argv = list(params.args)
        if params.envs:
            config.env = [env.split("=", 1) for env in params.envs]
        if params.stdin:
            assert isinstance(params.stdin, bytes)
            set_stdin(config, params.stdin)
        config.stdout_file = self._stdout_path
        config.stderr_file = self._stderr_path
        config.preopen_dir(root, "/")
        return config

    def _collect(self, status: int) -> Exited | Failed:
        stdout, stderr = self._streams.stdout, self._streams.stderr
        sizes = os.fstat(stdout).st_size, os.fstat(stderr).st_size
        if sum(sizes) > self._output:
            return Failed(output_limit_text(self._output))
        return Exited(
            status,
            os.pread(stdout, sizes[0], 0) if sizes[0] else b"",
            os.pread(stderr, sizes[1], 0) if sizes[1] else b"",
        )

    def _with_stderr(self, text: str) -> str:
        stderr = self._streams.stderr
        size = os.fstat(stderr).st_size
        tail = os.pread(stderr, STDERR_TAIL, max(size - STDERR_TAIL, 0)).decode("utf-8", "replace").strip()
        return f"{text}\n{tail}" if tail else text


def output_limit_text(limit: int) -> str:
    return f"output limit exceeded: more than {limit} bytes"
