"""What notebooks show: a progress bar, and objects as small tables. HTML only, so that a saved notebook has it, too.

Imports IPython when a bar is drawn, which is there in every kernel; rich would want ipywidgets as well.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Mapping
from typing import Any

INTERVAL = 0.1
"""Seconds between two drawings."""
_STYLE = "font-family: monospace; white-space: pre-wrap; text-align: left; max-height: 20em; overflow: auto"


def table(title: str, rows: Mapping[str, object]) -> str:
    """An HTML table of what is not empty."""
    body = "".join(
        f'<tr><th style="text-align: left; vertical-align: top">{html.escape(name)}</th>'
        f'<td style="text-align: left"><div style="{_STYLE}">{html.escape(str(value))}</div></td></tr>'
        for name, value in rows.items()
        if value not in (None, "", 0)
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{body}</table></div>"


class NotebookBar:
    """A `progress.Bar`. Drawn by the thread that tells of a call, seldom enough not to hold it up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = self._done = self._failed = 0
        self._began = time.monotonic()
        self._drawn = 0.0
        self._handle: Any = None

    def add(self, calls: int) -> None:
        with self._lock:
            self._total += calls
            self._draw()

    def done(self, calls: int, failed: int) -> None:
        with self._lock:
            self._done += calls + failed
            self._failed += failed
            self._draw(final=self._done == self._total)

    def stop(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._draw(final=True)

    def _draw(self, final: bool = False) -> None:
        now = time.monotonic()
        if not final and now - self._drawn < INTERVAL:
            return
        self._drawn = now
        from IPython.display import HTML, display

        shown = HTML(self._html(now - self._began))
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def _html(self, seconds: float) -> str:
        failed = f', <span style="color: #c00">{self._failed} failed</span>' if self._failed else ""
        minutes, rest = divmod(int(seconds), 60)
        return (
            f'<div><progress value="{self._done}" max="{max(self._total, 1)}" style="width: 20em"></progress> '
            f"{self._done} of {self._total}{failed}, {minutes}:{rest:02}</div>"
        )
