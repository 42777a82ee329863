"""Which processes a process started, by /proc (Linux)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path


def command(pid: int) -> str:
    """Its command line; "" when it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _parents() -> dict[int, int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    return parents


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, however deep."""
    parents = _parents()
    found: list[int] = []
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found += level
    return found


def wait_until_gone(pids: Iterable[int], seconds: float = 10.0) -> list[str]:
    """Command lines of those that are still there after so long."""
    until = time.monotonic() + seconds
    left = list(pids)
    while left and time.monotonic() < until:
        left = [pid for pid in left if command(pid)]
        time.sleep(0.05)
    return [command(pid) for pid in left]
