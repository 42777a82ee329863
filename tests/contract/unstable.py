"""Cases of programs that were made for WASI's preview 0, `wasi_unstable`. Pure data."""

from __future__ import annotations

from . import programs as p
from .case import Case

OLD, NEW = b"\x0dwasi_unstable", b"\x16wasi_snapshot_preview1"
ACCEPT = b"\x0bsock_accept"


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

FILESTAT = function("fd_filestat_get", "(param i32 i32)")
OUTSIDE = f"""(module {FILESTAT} {p.MEMORY}
 (func (export "_start") (drop (call $fd_filestat_get (i32.const 1) (i32.const 65504)))))"""
POLL = function("poll_oneoff", "(param i32 i32 i32 i32)")
MANY = f"""(module {POLL} {p.MEMORY} (func (export "_start")
  (drop (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0)))))"""


def aged(wasm: bytes) -> bytes:
    """A module whose imports are preview 0's, but for the one that it had not."""
    at = 8
    while wasm[at] != 2:
        size, at = _number(wasm, at + 1)
        at += size
    size, begin = _number(wasm, at + 1)
    imports = wasm[begin : begin + size].replace(NEW, OLD).replace(OLD + ACCEPT, NEW + ACCEPT)
    length = bytes((len(imports) & 0x7F | 0x80, len(imports) >> 7))
    return wasm[: at + 1] + length + imports + wasm[begin + size :]


def _number(wasm: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128, and where it ends."""
    value = shift = 0
    while True:
        value |= (wasm[at] & 0x7F) << shift
        shift += 7
        at += 1
        if wasm[at - 1] < 0x80:
            return value, at


CALLS = {
    "args_sizes_get": "count 12 bytes 199",
    "environ_sizes_get": "count 0 bytes 0",
    "clock_res_get 1": "some",
    "random_get 8": "",
    "fd_prestat_get 3": "name 1",
    "sched_yield": "",
    "path_create_directory 3 d": "",
    "path_rename 3 d 3 e": "",
    "list 3 1000": ".:directory ..:directory e:directory",
    "path_remove_directory 3 e": "",
    "sock_shutdown 0 1": "NOTSOCK",
}


def _told(result: str) -> str:
    return result if result.isupper() else f"SUCCESS {result}".rstrip()


UNSTABLE = [
    Case("the four that differ", EVERYTHING, status=77),
    Case("once more in the same slot", EVERYTHING, status=77),
    Case(
        "the others",
        aged(p.app("testing/calls")),
        ("calls", *CALLS),
        stdout="".join(f"{call} => {_told(result)}\n" for call, result in CALLS.items()).encode(),
    ),
    Case("a pointer outside", p.wat(OUTSIDE), error="out of bounds memory access"),
    Case("more subscriptions than there is memory", p.wat(MANY), error="out of bounds memory access"),
    Case("no memory", p.wat(OUTSIDE.replace(p.MEMORY, "(memory 1)")), error="the module exports no memory"),
    Case(
        "a name that it never had",
        p.wat(f'(module {function("sock_accept", "(param i32 i32 i32)")} (func (export "_start")))'),
        error="unknown import: wasi_unstable.sock_accept (function)",
    ),
]
