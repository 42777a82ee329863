"""How a task ended, and who did it. Standard library only (and `archive`, when artifacts are unpacked)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import TaskFailed
from .kept import Kept
from .usage import Usage

SHOWN = 4096
"""Bytes of each stream that a notebook shows."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened to a task on its way: Unix time in nanoseconds, name, and details (may be "")."""

    unixnano: int
    event: str
    details: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One task's end. Either it has an exit `status`, or `error` says why there is none."""

    status: int | None
    """Exit code, 0 to 255; None when the program did not come to its end."""
    stdout: bytes = b""
    stderr: bytes = b""
    archive: bytes | Kept | None = None
    """The zip with the artifacts: in a file when it is large; None when there is none. See `artifacts` and `extract`."""
    error: str = ""
    """In words: trap, limit, unknown file, deadline …; "" when there is a status."""
    code: str = ""
    """Connect's code when the broker ended the task ("deadline_exceeded"); "" when its program did."""
    provider: str = ""
    """Who computed it."""
    task: str = ""
    """The task's id."""
    index: int = 0
    """Which of the tasks given to `run_many`, from 0."""
    label: str = ""
    """The task's `label`."""
    attempt: int = 0
    """Which attempt at the task gave this answer, from 1; 0: the broker does not say."""
    seconds: float = 0.0
    """From when it was sent until the answer was here, waiting in the queue included."""
    pickle: bytes | None = None
    """Of a PythonTask: its last value."""
    trace: tuple[TraceEvent, ...] = ()
    usage: Usage | None = None
    """What it used; None: the broker or the provider does not say."""

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with exit code 0."""
        return self.status == 0 and not self.error

    @property
    def artifacts(self) -> bytes | None:
        """The zip with what was asked for, all of it in memory, or None; `extract` unpacks it without that."""
        return self.archive.read() if isinstance(self.archive, Kept) else self.archive

    @property
    def text(self) -> str:
        """stdout as text; what isn't UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> Result:
        """Itself when `ok`. Raises TaskFailed with the error, or the exit code and the end of stderr."""
        if self.ok:
            return self
        raise TaskFailed(self.why, self)

    @property
    def why(self) -> str:
        """What went wrong in one line; "" when nothing did."""
        if self.ok:
            return ""
        if self.error:
            return self.error
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return f"exit code {self.status}" + (f": {lines[-1][:300]}" if lines else "")

    def extract(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Unpack the artifacts into a folder (made when missing); gives the files' paths.

        Nothing is written outside the folder. Raises ArchiveError for a zip that is broken, huge or hostile.
        """
        from .archive import extract

        return extract(self.archive, Path(folder)) if self.archive else []

    def __repr__(self) -> str:
        parts = [f"status={self.status}"]
        for name in ("error", "code", "stdout", "stderr"):
            value = getattr(self, name)
            if value:
                parts.append(f"{name}={_short(value)}")
        if self.archive:
            size = self.archive.size if isinstance(self.archive, Kept) else len(self.archive)
            parts.append(f"artifacts=<{size} bytes>")
        parts.append(f"provider={self.provider!r}")
        if self.label:
            parts.append(f"label={self.label!r}")
        return f"Result({', '.join(parts)}, index={self.index})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        from .notebook import table

        what = f"Result {self.label or self.index}: {'ok' if self.ok else 'failed'}"
        by = f"{self.provider}, {self.seconds:.3f} s" if self.provider else ""
        stdout, stderr = (_beginning(stream) for stream in (self.stdout, self.stderr))
        archive = f"{self.archive.size if isinstance(self.archive, Kept) else len(self.archive)} bytes" if self.archive else ""
        exit_code = "" if self.status is None else str(self.status)
        rows = {"error": self.error, "exit code": exit_code, "stdout": stdout, "stderr": stderr, "artifacts": archive, "by": by}
        return table(what, rows)


def _beginning(stream: bytes) -> str:
    shown = stream[:SHOWN].decode("utf-8", "replace")
    return shown if len(stream) <= SHOWN else f"{shown}… ({len(stream)} bytes in all)"


def _short(value: str | bytes) -> str:
    return repr(value) if len(value) <= 80 else f"{value[:60]!r}… <{len(value)}>"
