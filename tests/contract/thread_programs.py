"""Programs with threads, made of what the first thread does and what the others do. Pure data.

A thread gets `$id` and `$argument`. Memory is zero in the beginning; `$signal` adds 1 to a counter, `$await` waits for
one to reach a value.
"""

from __future__ import annotations

from .programs import wat

SHARED = '(import "env" "memory" (memory 2 64 shared)) (export "memory" (memory 0))'
SPAWN = '(import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))'
WASI = "".join(
    f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {kind}))'
    for name, kind in {
        "proc_exit": "(param i32)",
        "fd_write": "(param i32 i32 i32 i32) (result i32)",
        "fd_read": "(param i32 i32 i32 i32) (result i32)",
        "fd_seek": "(param i32 i64 i32 i32) (result i32)",
        "fd_close": "(param i32) (result i32)",
        "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
        "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
        "clock_time_get": "(param i32 i64 i32) (result i32)",
        "random_get": "(param i32 i32) (result i32)",
        "args_sizes_get": "(param i32 i32) (result i32)",
    }.items()
)
COMMON = """
 (func $signal (param $at i32)
  (drop (i32.atomic.rmw.add (local.get $at) (i32.const 1)))
  (drop (memory.atomic.notify (local.get $at) (i32.const -1))))
 (func $await (param $at i32) (param $value i32) (local $now i32)
  (loop $again
   (local.set $now (i32.atomic.load (local.get $at)))
   (if (i32.lt_u (local.get $now) (local.get $value)) (then
    (drop (memory.atomic.wait32 (local.get $at) (local.get $now) (i64.const -1)))
    (br $again)))))
 (func $must (param $value i32) (if (i32.eqz (local.get $value)) (then unreachable)))
 (func $start (param $argument i32) (call $must (i32.gt_s (call $spawn (local.get $argument)) (i32.const 0))))
 (func $forever (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
 (func $spin (loop $again (br $again)))
 (func $sleep (param $at i32) (param $nanoseconds i64)
  (memory.fill (local.get $at) (i32.const 0) (i32.const 48))
  (i32.store offset=16 (local.get $at) (i32.const 1))
  (i64.store offset=24 (local.get $at) (local.get $nanoseconds))
  (call $must (i32.eqz (call $poll_oneoff (local.get $at) (i32.add (local.get $at) (i32.const 64)) (i32.const 1)
   (i32.add (local.get $at) (i32.const 128)))))
  (call $must (i32.eq (i32.load offset=128 (local.get $at)) (i32.const 1))))
 (func $say (param $letter i32)
  (i32.store (i32.const 1024) (i32.const 1040)) (i32.store (i32.const 1028) (i32.const 2))
  (i32.store16 (i32.const 1040) (i32.or (local.get $letter) (i32.const 0x0a00)))
  (call $must (i32.eqz (call $fd_write (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 1032)))))
"""


def threaded(thread: str, main: str, *more: str, memory: str = SHARED) -> bytes:
    """A module of these; `more` are fields beside them."""
    return wat(
        f"(module {memory} {SPAWN} {WASI} {COMMON} {' '.join(more)}"
        f' (func $thread (export "wasi_thread_start") (param $id i32) (param $argument i32) {thread})'
        f' (func $main (export "_start") (local $n i32) {main}))'
    )


def times(count: int, body: str) -> str:
    """Do it so often, in `$main`; `$n` counts from 0."""
    return (
        f"(local.set $n (i32.const 0)) (loop $next {body} (local.set $n (i32.add (local.get $n) (i32.const 1)))"
        f" (br_if $next (i32.lt_u (local.get $n) (i32.const {count}))))"
    )


HOUR = "(i64.const 3_600_000_000_000)"
FORK = times(10_000, "(call $start (local.get $n))")
BOMB = threaded("(call $forever)", FORK)
"""A fork of 10 000 threads."""
COMPUTING = threaded("(call $spin)", FORK)
"""The same of threads that compute."""
RETURNING = threaded(
    "(if (local.get $argument) (then (call $forever))) (call $signal (i32.const 4))",
    f"(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1)) {FORK}",
)
"""The same, of which two return: those whose argument is 0."""
FORKING = threaded(
    "(call $start (i32.const 0)) (call $start (i32.const 0)) (call $spin)", "(call $start (i32.const 0)) (call $forever)"
)
"""Threads that start two more each, and compute."""

READS_2 = """(i32.store (i32.const 240) (i32.const 260)) (i32.store (i32.const 244) (i32.const 2))
 (call $must (i32.eqz (call $fd_read (i32.const 0) (i32.const 240) (i32.const 1) (i32.const 248))))"""
ECHOES = threaded(
    f"(loop $l {READS_2} (if (i32.eqz (i32.load (i32.const 248))) (then (call $proc_exit (i32.const 7))))"
    " (call $say (i32.load8_u (i32.const 260))) (br $l))",
    "(call $start (i32.const 0)) (call $sleep (i32.const 2048) (i64.const 100_000_000))"
    "(call $say (i32.const 33)) (call $forever)",
)
"""Says "!" while a thread reads; then what that reads, two bytes at a time, without the second one; exits with 7 at its end."""
LEAVES_A_READER = threaded(
    f"(call $signal (i32.const 4)) {READS_2} unreachable",
    "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1))"
    "(call $sleep (i32.const 2048) (i64.const 100_000_000)) (call $proc_exit (i32.const 99))",
)
POLLS = threaded(
    "(loop $l (memory.fill (i32.const 512) (i32.const 0) (i32.const 192))"
    " (i32.store offset=16 (i32.const 512) (i32.const 1)) (i64.store offset=24 (i32.const 512) (i64.const 200_000_000))"
    " (i64.store (i32.const 560) (i64.const 9)) (i32.store8 offset=8 (i32.const 560) (i32.const 1))"
    " (call $must (i32.eqz (call $poll_oneoff (i32.const 512) (i32.const 640) (i32.const 2) (i32.const 720))))"
    f" (if (i64.eq (i64.load (i32.const 640)) (i64.const 9)) (then {READS_2}"
    "  (if (i32.eqz (i32.load (i32.const 248))) (then (call $proc_exit (i32.const 7))))"
    "  (call $say (i32.load8_u (i32.const 260)))) (else (call $say (i32.const 46))))"
    " (br $l))",
    "(call $start (i32.const 0)) (call $forever)",
)
"""Says what it reads, and "." when nothing comes for 0.2 s."""
