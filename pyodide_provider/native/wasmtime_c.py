"""What wasmtime's C interface has and its Python classes lack, or do slowly. The only place that touches their insides.

stdin out of bytes: a file costs two hops between threads for each read. `_start` by its name: `Instance.exports` wraps
each export of a module anew, for every run; and so on.
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, cast

from wasmtime import InstancePre, Store, Trap, WasiConfig, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime._func import maybe_raise_last_exn

_START = ctypes.create_string_buffer(b"_start", 6)
_MEMORY = ctypes.create_string_buffer(b"memory", 6)
_IS_MEMORY, _IS_SHARED = ffi.WASMTIME_EXTERN_MEMORY.value, ffi.WASMTIME_EXTERN_SHAREDMEMORY.value

_Trap = ctypes.POINTER(ffi.wasm_trap_t)
Instance = ffi.wasmtime_instance_t
_found = ffi.wasmtime_extern_t()
_FOUND = byref(_found)
"""For what is looked up; nothing is kept in it."""


def set_stdin(config: WasiConfig, data: bytes) -> None:
    """What a program reads from stdin. The bytes are copied."""
    copy = ffi.wasm_byte_vec_t()
    ffi.wasm_byte_vec_new(byref(copy), len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_ubyte)))
    ffi.wasi_config_set_stdin_bytes(config.ptr(), byref(copy))


def instantiate(store: Store, program: InstancePre) -> Instance:
    """Raises Trap, WasmtimeError or what our functions raise."""
    instance = ffi.wasmtime_instance_t()
    trap = _Trap()
    error = ffi.wasmtime_instance_pre_instantiate(program.ptr(), store._context(), byref(instance), byref(trap))
    if error or trap:
        _raise(error, trap)
    return instance


def call_start(store: Store, instance: Instance) -> None:
    """Call `_start`, a function without parameters and results. Raises Trap, WasmtimeError or what our functions raise."""
    context = store._context()
    if not ffi.wasmtime_instance_export_get(context, byref(instance), _START, 6, _FOUND):
        raise WasmtimeError("no export _start")
    trap = _Trap()
    error = ffi.wasmtime_func_call(context, byref(_found.of.func), None, 0, None, 0, byref(trap))
    if error or trap:
        _raise(error, trap)


def _raise(error: Any, trap: Any) -> None:
    raised = WasmtimeError._from_ptr(error) if error else Trap._from_ptr(trap)
    # What a function of ours raised is why there is a trap.
    maybe_raise_last_exn()
    raise raised


def memory_size(store: Store, instance: Instance) -> int:
    """Bytes of the memory that an instance exports; it never shrinks."""
    context = store._context()
    if not ffi.wasmtime_instance_export_get(context, byref(instance), _MEMORY, 6, _FOUND):
        return 0
    kind = cast(int, _found.kind)
    if kind == _IS_MEMORY:
        return int(ffi.wasmtime_memory_data_size(context, byref(_found.of.memory)))
    size = 0
    if kind == _IS_SHARED:
        size = int(ffi.wasmtime_sharedmemory_data_size(_found.of.sharedmemory))
    ffi.wasmtime_extern_delete(_FOUND)
    return size
