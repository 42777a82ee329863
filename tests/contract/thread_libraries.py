"""Cases of programs whose threads are those of their language's own library: Rust's `std::thread`, C's pthreads. Pure data."""

from __future__ import annotations

from . import programs as p
from .case import Case

RUST, C = p.app("testing/crew"), p.app("testing/pthreads")


def said(binary: bytes, program: str, command: str, *lines: str) -> Case:
    """What a program prints."""
    return Case(command, binary, (program, command), stdout="".join(f"{line}\n" for line in lines).encode())


IN_RUST = [
    said(RUST, "crew", "scope", "[31375, 93875, 156375, 218875] 500500"),
    said(RUST, "crew", "lock", "8000"),
    said(RUST, "crew", "queue", "5050"),
    said(RUST, "crew", "channel", *(f"{number} worker {number}" for number in range(4))),
    said(RUST, "crew", "barrier", "20"),
    said(RUST, "crew", "local", "1 7"),
    said(RUST, "crew", "sleep", "true"),
    said(RUST, "crew", "files", *(f"/{number}.txt written by {number}" for number in range(6))),
    said(RUST, "crew", "one-after-the-other", "44850"),
    Case("panic", RUST, ("crew", "panic"), error="unreachable", error_has=("panicked at", "in a thread")),
    Case("exit", RUST, ("crew", "exit"), status=44),
]

IN_C = [
    said(C, "pthreads", "mutex", "28000 8"),
    said(C, "pthreads", "condition", *(f"thread {number}" for number in range(8)), "nobody"),
    said(C, "pthreads", "local", "3 52"),
    said(C, "pthreads", "meeting", "1 10"),
    said(C, "pthreads", "file", "800"),
    Case("exit", C, ("pthreads", "exit"), status=45),
]
