"""A small module beside a program, which shares its memory: WASI's functions look for the memory of who calls them.

Made when a program first calls one of its functions. Imports wasmtime.
"""

from __future__ import annotations

from collections.abc import Sequence

from wasmtime import Caller, Engine, Func, Instance, Linker, Module, WasmtimeError

PREVIEW1 = "wasi_snapshot_preview1"


class Beside:
    """Of one engine; a program at a time. `forget` is to be called before each."""

    def __init__(self, engine: Engine, text: str, names: Sequence[str]) -> None:
        """`text` imports the program's memory, then those functions of preview 1, and exports the memory and what is called."""
        self._engine = engine
        self._text = text
        self._names = names
        self._module: Module | None = None
        self._plain: Linker | None = None
        self._instance: Instance | None = None

    def forget(self) -> None:
        self._instance = None

    def call(self, caller: Caller, name: str, *args: int) -> int:
        """Its function of that name. Raises WasmtimeError, also when the program has no memory, or Trap."""
        if self._instance is None:
            self._instance = self._make(caller)
        function = self._instance.exports(caller)[name]
        assert isinstance(function, Func)
        return int(function(caller, *args))

    def _make(self, caller: Caller) -> Instance:
        memory = caller.get("memory")
        if memory is None:
            raise WasmtimeError("missing required memory export")
        if self._module is None or self._plain is None:
            self._module, self._plain = Module(self._engine, self._text), Linker(self._engine)
            self._plain.define_wasi()
        wasi = [self._plain.get(caller, PREVIEW1, name) for name in self._names]
        return Instance(caller, self._module, [memory, *wasi])
