"""Programs ready to run: fetched, compiled and linked once, kept while they are used. Imports wasmtime."""

from __future__ import annotations

import platform
from collections import OrderedDict

from wasmtime import InstancePre, Module, WasmtimeError

from ..core.run import File
from .blob_cache import BlobCache, ref_of
from .limits import any_file_size
from .storage import Storage
from .wasi import STACK, Wasi

KEPT = 64
KEPT_BYTES = 512 << 20
"""Of machine code, which is mapped only as far as it runs."""


class Programs:
    def __init__(self, wasi: Wasi, cache: BlobCache, storage: Storage, engine: str) -> None:
        """`engine` is name and version, which compiled modules depend on; wasmtime checks the processor itself."""
        self._key = f"{engine.replace(' ', '-')}-{platform.machine()}-stack{STACK}"
        self._wasi = wasi
        self._cache = cache
        self._storage = storage
        self._kept: OrderedDict[str, tuple[InstancePre, int]] = OrderedDict()
        self._bytes = 0

    def load(self, file: File) -> InstancePre:
        """The program of a task's binary. Raises TaskFault or HostFault."""
        ref = file.ref or ref_of(file.blob or b"")
        kept = self._kept.get(ref)
        if kept is not None:
            self._kept.move_to_end(ref)
            return kept[0]
        with any_file_size():
            module, size = self._module(ref, file.blob)
        program = self._wasi.link(module)
        self._kept[ref] = program, size
        self._bytes += size
        while len(self._kept) > KEPT or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return program

    def _module(self, ref: str, blob: bytes | None) -> tuple[Module, int]:
        kept = self._from_cache(ref)
        if kept is not None:
            return kept
        with self._cache.lock("compile", ref):
            kept = self._from_cache(ref)
            if kept is not None:
                return kept
            module = self._wasi.compile(self._storage.get(ref) if blob is None else blob)
            code = module.serialize()
            self._cache.put_module(self._key, ref, code)
            return module, len(code)

    def _from_cache(self, ref: str) -> tuple[Module, int] | None:
        code = self._cache.get_module(self._key, ref)
        if code is None:
            return None
        try:
            return Module.deserialize(self._wasi.engine, code), len(code)
        except WasmtimeError:
            # Made by another build of wasmtime, or for another processor: to be compiled again.
            return None
