"""Cases of programs with threads that read a standard input which was not given. Pure data."""

from __future__ import annotations

from .case import Case
from .thread_programs import threaded

STARTED = "(call $await (i32.const 4) (i32.const 1))"
READS = "(i32.store (i32.const 240) (i32.const 260)) (i32.store (i32.const 244) (i32.const 2))"
READ = f"{READS} (call $must (i32.eqz (call $fd_read (i32.const 0) (i32.const 240) (i32.const 1) (i32.const 248))))"


def beside_a_reader(after: str = "") -> bytes:
    """The first thread sleeps for a while beside one that must not come to an end."""
    return threaded(
        f"(call $signal (i32.const 4)) {READ} unreachable",
        f"(call $start (i32.const 1)) {STARTED} (call $sleep (i32.const 4096) (i64.const 200_000_000)) {after}",
    )


WITHOUT = [
    Case("the first returns while another reads what nobody gives", beside_a_reader()),
    Case(
        "the first exits while another reads what nobody gives",
        beside_a_reader("(call $proc_exit (i32.const 99))"),
        status=99,
    ),
    Case(
        "another exits while the first reads what nobody gives",
        threaded(
            "(call $sleep (i32.const 2048) (i64.const 200_000_000)) (call $proc_exit (i32.const 99))",
            f"(call $start (i32.const 0)) {READ} unreachable",
        ),
        status=99,
    ),
    Case(
        "what nobody gives has an end for who waits for it",
        threaded(
            f"{READ} (call $must (i32.eqz (i32.load (i32.const 248)))) (call $signal (i32.const 4))",
            "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1)) (call $proc_exit (i32.const 5))",
        ),
        status=5,
    ),
    Case("and for the only thread at once", threaded("", f"{READ} (call $proc_exit (i32.load (i32.const 248)))")),
]
