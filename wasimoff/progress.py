"""A progress bar for executors: calls done of those begun. Imports `notebook`, and rich when a terminal is to show one."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Protocol

from .notebook import NotebookBar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(Protocol):
    """Counts calls; may be told from any thread."""

    def add(self, calls: int) -> None: ...
    def done(self, calls: int, failed: int) -> None: ...
    def stop(self) -> None: ...


class Hidden:
    """Shows nothing."""

    def add(self, calls: int) -> None: ...
    def done(self, calls: int, failed: int) -> None: ...
    def stop(self) -> None: ...


class Shown:
    """A bar on a terminal that appears with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._done = 0
        self._failed = 0

    def add(self, calls: int) -> None:
        with self._lock:
            self._total += calls
            if self._progress is None:
                self._start()
            self._show()

    def done(self, calls: int, failed: int) -> None:
        with self._lock:
            self._done += calls + failed
            self._failed += failed
            self._show()

    def stop(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
        console = Console(stderr=True)
        # What the program prints goes above the bar where both are on the screen, and is left alone where it is not.
        both = sys.stdout.isatty()
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, *times, console=console, redirect_stdout=both)
        self._task = self._progress.add_task("", total=0, failed="")
        self._progress.start()

    def _show(self) -> None:
        if self._progress is not None and self._task is not None:
            failed = f"[red]{self._failed} failed" if self._failed else ""
            self._progress.update(self._task, total=self._total, completed=self._done, failed=failed)


def in_notebook() -> bool:
    """Whether output is shown by Jupyter."""
    return "ipykernel" in sys.modules


def bar(wanted: bool) -> Bar:
    """The bar that is asked for; none where nobody could see it."""
    if wanted and in_notebook():
        return NotebookBar()
    return Shown() if wanted and sys.stderr.isatty() else Hidden()
