"""What wasmtime's C interface has and its Python classes lack, or do slowly. The only place that touches their insides.

stdin out of bytes: a file costs two hops between threads for each read. `_start` by its name: `Instance.exports` wraps
each export of a module anew, for every run.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import cast

from wasmtime import Instance, Store, WasiConfig, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime._func import enter_wasm

_START = ctypes.create_string_buffer(b"_start", 6)
_MEMORY = ctypes.create_string_buffer(b"memory", 6)


def set_stdin(config: WasiConfig, data: bytes) -> None:
    """What a program reads from stdin. The bytes are copied."""
    copy = ffi.wasm_byte_vec_t()
    ffi.wasm_byte_vec_new(byref(copy), len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_ubyte)))
    ffi.wasi_config_set_stdin_bytes(config.ptr(), byref(copy))


def call_start(store: Store, instance: Instance) -> None:
    """Call `_start`, a function without parameters and results. Raises Trap, WasmtimeError or what our functions raise."""
    found = ffi.wasmtime_extern_t()
    context = store._context()
    if not ffi.wasmtime_instance_export_get(context, byref(instance._instance), _START, len(_START), byref(found)):
        raise WasmtimeError("no export _start")
    with enter_wasm(store) as trap:
        error = ffi.wasmtime_func_call(context, byref(found.of.func), None, 0, None, 0, trap)
        if error:
            raise WasmtimeError._from_ptr(error)


def memory_size(store: Store, instance: Instance) -> int:
    """Bytes of the memory that an instance exports; it never shrinks."""
    found = ffi.wasmtime_extern_t()
    context = store._context()
    if not ffi.wasmtime_instance_export_get(context, byref(instance._instance), _MEMORY, len(_MEMORY), byref(found)):
        return 0
    kind = cast(int, found.kind)
    if kind == ffi.WASMTIME_EXTERN_MEMORY.value:
        return int(ffi.wasmtime_memory_data_size(context, byref(found.of.memory)))
    size = 0
    if kind == ffi.WASMTIME_EXTERN_SHAREDMEMORY.value:
        size = int(ffi.wasmtime_sharedmemory_data_size(found.of.sharedmemory))
    ffi.wasmtime_extern_delete(byref(found))
    return size
