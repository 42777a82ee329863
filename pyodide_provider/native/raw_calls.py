"""Functions between wasmtime and us by their raw values, in which nothing is turned into Python and back. Beside
wasmtime_c.py the only place that touches the insides of wasmtime's Python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref
from typing import Any, TypeAlias

from wasmtime import FuncType, Linker, SharedMemory, Store, Trap, WasmtimeError
from wasmtime import _ffi as ffi

from .wasmtime_c import Instance

Values: TypeAlias = Any
"""A pointer to what a function was called with, `values[n].i32`; its result goes into the first."""
Callback: TypeAlias = Callable[[Values, int], str]
"""Called with values and how many there are. Gives "", or why the program is to be stopped."""
RawFunc: TypeAlias = Any

_NO_FINALIZER = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
_Trap = ctypes.POINTER(ffi.wasm_trap_t)


def define_raw(linker: Linker, module: str, name: str, kind: FuncType, callback: Callback) -> object:
    """A function of ours for programs, in any store; the answer is to be kept for as long as it may be called."""

    def called(_env: object, _caller: object, values: Values, count: int) -> int:
        try:
            stop = callback(values, count)
        except Exception as error:
            stop = f"{type(error).__name__}: {error}"
        if not stop:
            return 0
        text = stop.encode()
        return ctypes.cast(ffi.wasmtime_trap_new(ctypes.create_string_buffer(text), len(text)), ctypes.c_void_p).value or 0

    kept = ffi.wasmtime_func_unchecked_callback_t(called)
    where, what = module.encode(), name.encode()
    buffers = ctypes.create_string_buffer(where), len(where), ctypes.create_string_buffer(what), len(what)
    error = ffi.wasmtime_linker_define_func_unchecked(linker.ptr(), *buffers, kind.ptr(), kept, None, _NO_FINALIZER)
    if error:
        raise WasmtimeError._from_ptr(error)
    return kept


def define_memory(linker: Linker, store: Store, module: str, name: str, memory: SharedMemory) -> None:
    item = ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, ffi.wasmtime_extern_union(sharedmemory=memory.ptr()))
    where, what = module.encode(), name.encode()
    buffers = ctypes.create_string_buffer(where), len(where), ctypes.create_string_buffer(what), len(what)
    error = ffi.wasmtime_linker_define(linker.ptr(), store._context(), *buffers, byref(item))
    if error:
        raise WasmtimeError._from_ptr(error)


def exported(store: Store, instance: Instance, name: str) -> RawFunc:
    """A function that an instance is known to export."""
    found, what = ffi.wasmtime_extern_t(), name.encode()
    buffer = ctypes.create_string_buffer(what)
    if not ffi.wasmtime_instance_export_get(store._context(), byref(instance), buffer, len(what), byref(found)):
        raise WasmtimeError(f"no export {name}")
    return found.of.func


def call_raw(store: Store, function: RawFunc, values: Values, count: int) -> Trap | WasmtimeError | None:
    """Call with values and have the result in the first of them. Gives why it stopped."""
    trap = _Trap()
    error = ffi.wasmtime_func_call_unchecked(store._context(), byref(function), values, count, byref(trap))
    if error:
        return WasmtimeError._from_ptr(error)
    return Trap._from_ptr(trap) if trap else None


def integers(*numbers: int) -> tuple[Values, int]:
    """Values that are i32, and how many."""
    values = (ffi.wasmtime_val_raw_t * max(len(numbers), 1))()
    for value, number in zip(values, numbers, strict=False):
        value.i64 = number & 0xFFFF_FFFF
    return values, len(values)
