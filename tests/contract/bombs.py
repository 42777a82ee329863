"""Programs that take without end, the limit that each is given, and the error which that ends with. Pure data."""

from __future__ import annotations

from pyodide_provider.core.run import Limits

from . import programs as p

KIB, MIB = 1 << 10, 1 << 20
CLOSE = '(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))'
UNLINK = '(import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))'


def makes_files(size: int, *, forget: bool = False) -> bytes:
    """Makes files without end, of `size` bytes each (at most 32 KiB); `forget`: unlinks each, but keeps it open."""
    done = "(call $unlink (i32.const 3) (i32.const 32) (i32.const 5))" if forget else "(call $close (i32.load (i32.const 16)))"
    return p.start(
        f"(local $n i32) (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {size}))"
        "(loop $again"
        # The name: four letters for sixteen bits, and a fifth for those beyond.
        " (i32.store (i32.const 32) (i32.or (i32.const 0x61616161) (i32.or"
        "  (i32.or (i32.and (local.get $n) (i32.const 15))"
        "   (i32.and (i32.shl (local.get $n) (i32.const 4)) (i32.const 0xf00)))"
        "  (i32.or (i32.and (i32.shl (local.get $n) (i32.const 8)) (i32.const 0xf0000))"
        "   (i32.and (i32.shl (local.get $n) (i32.const 12)) (i32.const 0xf000000))))))"
        " (i32.store8 (i32.const 36) (i32.add (i32.const 97) (i32.shr_u (local.get $n) (i32.const 16))))"
        " (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 5)"
        "  (i32.const 1) (i64.const 0x40) (i64.const 0x40) (i32.const 0) (i32.const 16)))"
        " (drop (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))"
        f" (drop {done})"
        " (local.set $n (i32.add (local.get $n) (i32.const 1)))"
        " (br $again))",
        p.PATH_OPEN,
        p.FD_WRITE,
        UNLINK if forget else CLOSE,
        p.MEMORY,
    )


GROWS = p.wat(
    '(module (memory (export "memory") 1) (func $hungry'
    " (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)"
    ' (func $outer (call $hungry)) (func $main (export "_start") (call $outer)))'
)
WRITES_TO_BOTH = p.start(
    "(local $n i32)"
    "(loop $again (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (local.set $n (i32.add (local.get $n) (i32.const 1)))"
    " (br_if $again (i32.lt_u (local.get $n) (i32.const 3))))"
    "(loop $ever (br $ever))",
    p.FD_WRITE,
    p.MEMORY,
    r'(data (i32.const 0) "\10\00\00\00\00\80\00\00")',
)

SLEEPS = p.start(
    "(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 60_000_000_000))"
    "(drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))",
    '(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))',
    p.MEMORY,
)
"""A minute."""

BOMBS: dict[str, tuple[bytes, Limits, str]] = {
    "memory": (
        GROWS,
        Limits(memory=64 * MIB),
        "memory limit exceeded: 64.0 MiB of at most 64.0 MiB in use when the program stopped: unreachable: in hungry\n"
        "  in outer\n  in main",
    ),
    "output": (p.NEVER_STOPS_WRITING, Limits(output=100 * KIB), "output limit exceeded: more than 102400 bytes"),
    "both streams together": (WRITES_TO_BOTH, Limits(output=150 * KIB), "output limit exceeded: more than 153600 bytes"),
    "one file": (p.FILLS_A_FILE, Limits(files=2 * MIB), "files limit exceeded: more than 2097152 bytes"),
    "many files": (makes_files(32 * KIB), Limits(files=3 * MIB), "files limit exceeded: more than 3145728 bytes"),
    "files without names": (
        makes_files(32 * KIB, forget=True),
        Limits(files=3 * MIB),
        "files limit exceeded: more than 3145728 bytes",
    ),
}
