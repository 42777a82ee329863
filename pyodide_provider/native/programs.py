"""Programs ready to run: fetched, compiled and linked once, kept while they are used. Imports wasmtime."""

from __future__ import annotations

import platform
import time
from collections import OrderedDict
from typing import NamedTuple

from wasmtime import InstancePre, Module, WasmtimeError

from ..core.run import File
from .blob_cache import BlobCache, ref_of
from .limits import any_file_size
from .storage import Storage
from .threaded import Threaded
from .wasi import STACK, Wasi

KEPT = 64
KEPT_BYTES = 512 << 20
"""Of machine code, which is mapped only as far as it runs."""


class Program(NamedTuple):
    """Ready to run: with its bytes as a module and as machine code, and the seconds that compiling took (0: it was kept)."""

    linked: InstancePre | Threaded
    size: int
    code: int
    compiled: float


class Programs:
    def __init__(self, wasi: Wasi, cache: BlobCache, storage: Storage, engine: str) -> None:
        """`engine` is name and version, which compiled modules depend on; wasmtime checks the processor itself."""
        self._key = f"{engine.replace(' ', '-')}-{platform.machine()}-stack{STACK}-sized"
        self._wasi = wasi
        self._cache = cache
        self._storage = storage
        self._kept: OrderedDict[str, Program] = OrderedDict()
        self._bytes = 0

    def load(self, file: File) -> Program:
        """The program of a task's binary. Raises TaskFault or HostFault."""
        ref = file.ref or ref_of(file.blob or b"")
        kept = self._kept.get(ref)
        if kept is not None:
            self._kept.move_to_end(ref)
            return kept
        with any_file_size():
            module, size, code, compiled = self._module(ref, file.blob)
        program = Program(self._wasi.link(module), size, code, compiled)
        self._kept[ref] = program._replace(compiled=0.0)
        self._bytes += code
        while len(self._kept) > KEPT or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popitem(last=False)[1].code
        return program

    def _module(self, ref: str, blob: bytes | None) -> tuple[Module, int, int, float]:
        """(module, bytes of it, bytes of its code, seconds of compiling)"""
        kept = self._from_cache(ref)
        if kept is None:
            with self._cache.lock("compile", ref):
                kept = self._from_cache(ref)
                if kept is None:
                    return self._compiled(ref, self._storage.get(ref) if blob is None else blob)
        return *kept, 0.0

    def _compiled(self, ref: str, wasm: bytes) -> tuple[Module, int, int, float]:
        began = time.perf_counter()
        module = self._wasi.compile(wasm)
        seconds = time.perf_counter() - began
        code = module.serialize()
        self._cache.put_module(self._key, ref, len(wasm), code)
        return module, len(wasm), len(code), seconds

    def _from_cache(self, ref: str) -> tuple[Module, int, int] | None:
        kept = self._cache.get_module(self._key, ref)
        if kept is None:
            return None
        size, code = kept
        try:
            return Module.deserialize(self._wasi.engine, code), size, len(code)
        except WasmtimeError:
            # Made by another build of wasmtime, or for another processor: to be compiled again.
            return None
