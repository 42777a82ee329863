"""Where lines and the progress bar go: the bar onto terminals only, lines to stdout always. Imports rich for a bar."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .common import put

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


class Screen:
    """Lines on stdout above a bar, when stdout or stderr is a terminal."""

    def __init__(self, total: int, *, bytes: bool = False) -> None:
        self._total = total
        self._bytes = bytes
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        self.color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def start(self) -> None:
        on_stdout = sys.stdout.isatty() and not self._bytes
        if not (on_stdout or sys.stderr.isatty()) or os.environ.get("TERM") == "dumb":
            return
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=not on_stdout)
        self._progress = Progress(*_columns(self._bytes), console=console, transient=True)
        self._bar = self._progress.add_task("", total=self._total, failed="")
        self._progress.start()

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def print(self, text: str) -> None:
        """Lines for stdout."""
        if self._progress is not None and sys.stdout.isatty():
            from rich.text import Text

            self._progress.console.print(Text.from_ansi(text), soft_wrap=True)
        else:
            put(text)

    def total(self, total: int) -> None:
        """There are so many, as far as is known now."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, total=total)

    def advance(self, failed: int) -> None:
        """One more is done; `failed` of them did in all."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, advance=1, failed=f"[red]{failed} failed" if failed else "")

    def sent(self, done: int, total: int) -> None:
        """So many bytes of so many."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=done, total=total)


def _columns(in_bytes: bool) -> list[ProgressColumn]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    if in_bytes:
        return [BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    return [BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"), TimeRemainingColumn()]
