"""Which modules have threads (wasi-threads): they import a shared memory. Imports wasmtime; what runs them is in threads.py."""

from __future__ import annotations

from typing import NamedTuple

from wasmtime import FuncType, ImportType, MemoryType, Module
from wasmtime import Limits as Pages

from ..errors import TaskFault


class Threaded(NamedTuple):
    """A module that shares its memory, which it imports by these names; `spawns`: it starts threads."""

    module: Module
    memory: tuple[str, str]
    pages: Pages
    spawns: bool

    def has(self, wanted: ImportType) -> bool:
        """Whether an import is one that others have not got."""
        return (wanted.module, wanted.name) == self.memory or (self.spawns and _is_spawn(wanted))


def find(module: Module) -> Threaded | None:
    """What a module is if it shares its memory. Raises TaskFault when it starts threads, but lacks what they need."""
    spawns = False
    memory = None
    for wanted in module.imports:
        if isinstance(wanted.type, MemoryType) and wanted.type.is_shared and not wanted.type.is_64 and memory is None:
            memory = (wanted.module, wanted.name or ""), wanted.type.limits
        spawns = spawns or _is_spawn(wanted)
    if spawns and memory is None:
        raise TaskFault("it imports wasi.thread-spawn, but no shared memory for its threads")
    if memory is not None and any(wanted.module == "wasi_unstable" for wanted in module.imports):
        raise TaskFault("it shares its memory and imports wasi_unstable: threads are of WASI preview 1")
    if spawns:
        _check_entry(module)
    return None if memory is None else Threaded(module, *memory, spawns)


def _is_spawn(wanted: ImportType) -> bool:
    return wanted.module == "wasi" and wanted.name == "thread-spawn" and isinstance(wanted.type, FuncType)


def _check_entry(module: Module) -> None:
    entry = next((export.type for export in module.exports if export.name == "wasi_thread_start"), None)
    if not isinstance(entry, FuncType):
        raise TaskFault("it imports wasi.thread-spawn, but has no wasi_thread_start function for its threads")
    if list(map(str, entry.params)) != ["i32", "i32"] or entry.results:
        raise TaskFault("its wasi_thread_start function does not take two i32 and return nothing")
