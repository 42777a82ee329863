"""When tasks want to be looked at again (deadlines, ends of back-offs). Standard library only."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from .task import Task


class Alarms:
    """A heap that forgets: its size is bounded by the live alarms, however many were set and cleared."""

    def __init__(self) -> None:
        self._live: dict[Task, float] = {}
        self._heap: list[tuple[float, int, Task]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._live)

    def set(self, task: Task, when: float) -> None:
        self._live[task] = when
        heapq.heappush(self._heap, (when, next(self._order), task))
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [entry for entry in self._heap if self._live.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def clear(self, task: Task) -> None:
        self._live.pop(task, None)

    def next(self) -> float | None:
        """When the earliest live alarm is due."""
        while self._heap and self._live.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Task]:
        """Take out and yield the tasks whose time has come."""
        while (when := self.next()) is not None and when <= now:
            task = heapq.heappop(self._heap)[2]
            del self._live[task]
            yield task
