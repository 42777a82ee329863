"""What happened lately, task by task, for people who look for a fault. Pure and bounded."""

from __future__ import annotations

from collections import deque

REMEMBERED = 2048
"""Entries over all tasks."""


class Story:
    def __init__(self) -> None:
        self._entries: deque[tuple[float, str, int, str]] = deque(maxlen=REMEMBERED)

    def tell(self, now: float, task: str, sequence: int, what: str) -> None:
        self._entries.append((now, task, sequence, what))

    def of(self, task: str) -> list[str]:
        """Lines "12.345 #7 queued", oldest first; empty when nothing is remembered of that task."""
        return [f"{now:.3f} #{sequence} {what}" for now, name, sequence, what in self._entries if name == task]
