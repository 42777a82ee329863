"""Programs of WASI's preview 0, which differ from preview 1 in four functions."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.core.run import Exited, Failed
from pyodide_provider.native.unstable import renamed
from tests.contract import programs as p

from .rig import params, rig


def old(text: str) -> str:
    return text.replace("wasi_snapshot_preview1", "wasi_unstable")


def function(name: str, params: str) -> str:
    return f'(import "wasi_unstable" "{name}" (func ${name} {params} (result i32)))'


PATH_OPEN, FD_WRITE = old(p.PATH_OPEN), old(p.FD_WRITE)
# Ends with 77, or with the number of the check that does not hold.
EVERYTHING = p.wat(f"""(module {PATH_OPEN}
{FD_WRITE}
{function("fd_seek", "(param i32 i64 i32 i32)")}
{function("fd_filestat_get", "(param i32 i32)")}
{function("path_filestat_get", "(param i32 i32 i32 i32 i32)")}
{function("poll_oneoff", "(param i32 i32 i32 i32)")}
 (import "wasi_unstable" "proc_exit" (func $exit (param i32))) {p.MEMORY}
 (data (i32.const 0) "\\40\\00\\00\\00\\0b\\00\\00\\00") (data (i32.const 32) "f") (data (i32.const 64) "hello world")
 (func $check (param $ok i32) (param $code i32) (if (i32.eqz (local.get $ok)) (then (call $exit (local.get $code)))))
 (func (export "_start") (local $fd i32)
    (call $check (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 1) (i32.const
   1) (i64.const 0x200066) (i64.const 0x200066) (i32.const 0) (i32.const 16))) (i32.const 1))
  (local.set $fd (i32.load (i32.const 16)))
  (call $check (i32.eqz (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))) (i32.const 2))
  ;; CUR is 0
  (call $check (i32.eqz (call $fd_seek (local.get $fd) (i64.const -3) (i32.const 0) (i32.const 200))) (i32.const 3))
  (call $check (i64.eq (i64.load (i32.const 200)) (i64.const 8)) (i32.const 4))
  (call $check (i32.eqz (call $fd_seek (local.get $fd) (i64.const -1) (i32.const 1) (i32.const 200))) (i32.const 5))
  (call $check (i64.eq (i64.load (i32.const 200)) (i64.const 10)) (i32.const 6))
  (call $check (i32.eqz (call $fd_seek (local.get $fd) (i64.const 2) (i32.const 2) (i32.const 200))) (i32.const 7))
  (call $check (i64.eq (i64.load (i32.const 200)) (i64.const 2)) (i32.const 8))
  (i64.store (i32.const 360) (i64.const 0x1122334455667788))
  (call $check (i32.eqz (call $fd_filestat_get (local.get $fd) (i32.const 304))) (i32.const 9))
  (call $check (i32.eq (i32.load8_u (i32.const 320)) (i32.const 4)) (i32.const 10))
  (call $check (i32.eq (i32.load (i32.const 324)) (i32.const 1)) (i32.const 11))
  (call $check (i64.eq (i64.load (i32.const 328)) (i64.const 11)) (i32.const 12))
  (call $check (i64.gt_u (i64.load (i32.const 344)) (i64.const 1600000000000000000)) (i32.const 13))
  (call $check (i64.eq (i64.load (i32.const 360)) (i64.const 0x1122334455667788)) (i32.const 14))
    (call $check (i32.eqz (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 1)
   (i32.const 400))) (i32.const 15))
  (call $check (i64.eq (i64.load (i32.const 424)) (i64.const 11)) (i32.const 16))
    (call $check (i32.eq (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5)
   (i32.const 400)) (i32.const 44)) (i32.const 17))
  ;; two clocks: one in an hour, one in 1 ms
    (i64.store (i32.const 1000) (i64.const 71)) (i32.store (i32.const 1024) (i32.const 1)) (i64.store
   (i32.const 1032) (i64.const 3600000000000))
    (i64.store (i32.const 1056) (i64.const 72)) (i32.store (i32.const 1080) (i32.const 1)) (i64.store
   (i32.const 1088) (i64.const 1000000))
    (call $check (i32.eqz (call $poll_oneoff (i32.const 1000) (i32.const 2000) (i32.const 2) (i32.const
   3000))) (i32.const 18))
  (call $check (i32.eq (i32.load (i32.const 3000)) (i32.const 1)) (i32.const 19))
  (call $check (i64.eq (i64.load (i32.const 2000)) (i64.const 72)) (i32.const 20))
  (call $check (i64.eq (i64.load (i32.const 1088)) (i64.const 1000000)) (i32.const 21))
  (call $check (i64.eq (i64.load (i32.const 1000)) (i64.const 71)) (i32.const 22))
  (call $exit (i32.const 77))))""")


async def test_the_four_that_differ(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        for _ in range(3):
            assert await made.run(params(EVERYTHING)) == Exited(77)


async def test_pointers_are_checked(tmp_path: Path) -> None:
    outside = f"(module {function('fd_filestat_get', '(param i32 i32)')} {p.MEMORY}"
    outside += ' (func $f (export "_start") (drop (call $fd_filestat_get (i32.const 1) (i32.const 65504)))))'
    without = outside.replace(p.MEMORY, "(memory 1)")
    async with rig(tmp_path) as made:
        await made.start()
        outcome = await made.run(params(p.wat(outside)))
        assert isinstance(outcome, Failed)
        assert outcome.error.startswith("out of bounds memory access")
        assert await made.run(params(p.wat(without))) == Failed("the module exports no memory")


async def test_what_neither_has_is_named(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        outcome = await made.run(params(p.wat(f'(module {function("fd_wrong", "")} (func (export "_start")))')))
        assert isinstance(outcome, Failed)
        assert outcome.error == "unknown import: wasi_unstable.fd_wrong (function)"


def test_all_kinds_of_imports_are_passed_over() -> None:
    imports = (
        '(import "env" "t" (table 1 funcref)) (import "env" "u" (table 1 300 externref))'
        ' (import "env" "m" (memory 1 300)) (import "env" "g" (global (mut i64)))'
    )
    wasm = p.wat(f"(module {imports} {FD_WRITE} {imports})")
    assert renamed(wasm) == p.wat(f"(module {imports} {p.FD_WRITE} {imports})")
    assert renamed(p.wat("(module)")) == p.wat("(module)")


@given(st.data())
def test_a_damaged_module_is_left_to_the_compiler(data: st.DataObject) -> None:
    damaged = bytearray(EVERYTHING)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    assert isinstance(renamed(bytes(damaged[:cut])), bytes)
