"""Where a program's streams are: stdout and stderr are two files in memory, which the parent has too. Standard library only."""

from __future__ import annotations

import os
from dataclasses import dataclass

STDIN = "stdin"
"""In a slot's folder: the named pipe of a run whose standard input comes while it runs."""
TAIL = 2000
"""Bytes of stderr that are told with a trap."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Two descriptors. Who else has them can see their sizes when we can't tell any more."""

    stdout: int
    stderr: int

    @property
    def paths(self) -> tuple[str, str]:
        return f"/proc/self/fd/{self.stdout}", f"/proc/self/fd/{self.stderr}"

    @property
    def sizes(self) -> tuple[int, int]:
        return os.fstat(self.stdout).st_size, os.fstat(self.stderr).st_size

    def with_tail(self, text: str) -> str:
        """A text with the last of stderr below it."""
        size = os.fstat(self.stderr).st_size
        tail = os.pread(self.stderr, TAIL, max(size - TAIL, 0)).decode("utf-8", "replace").strip()
        return f"{text}\n{tail}" if tail else text
