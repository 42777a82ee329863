"""`path_remove_directory` takes a name with slashes behind it, as rmdir(2) does; wasmtime's own says INVAL (its issue 8828).

Imports wasmtime.
"""

from __future__ import annotations

from wasmtime import Caller, Engine, FuncType, Linker, ValType

from .beside import PREVIEW1, Beside

NAME = "path_remove_directory"
STRIP = """(loop $again
 (if (i32.gt_u (local.get 2) (i32.const 1)) (then
  (if (i32.eq (i32.load8_u (i32.sub (i32.add (local.get 1) (local.get 2)) (i32.const 1))) (i32.const 47)) (then
   (local.set 2 (i32.sub (local.get 2) (i32.const 1)))
   (br $again))))))"""
"""In a function whose parameters are a descriptor, a pointer to a path and its length: makes it shorter, "/" apart."""
TEXT = f"""(module
 (import "program" "memory" (memory 0))
 (import "wasi" "{NAME}" (func $call (param i32 i32 i32) (result i32)))
 (export "memory" (memory 0))
 (func (export "{NAME}") (param i32 i32 i32) (result i32)
  {STRIP}
  (call $call (local.get 0) (local.get 1) (local.get 2))))"""


def define(engine: Engine, linker: Linker) -> Beside:
    """In place of wasmtime's; `forget` is to be called before each run."""
    beside = Beside(engine, TEXT, (NAME,))

    def remove(caller: Caller, descriptor: int, path: int, length: int) -> int:
        return beside.call(caller, NAME, descriptor, path, length)

    kind = FuncType([ValType.i32()] * 3, [ValType.i32()])
    linker.allow_shadowing = True
    linker.define_func(PREVIEW1, NAME, kind, remove, access_caller=True)
    return beside
