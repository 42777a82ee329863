"""Tasks that wait: first come first served for each requester, requesters in turn, priority first. Standard library only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from .task import Task


class Queue:
    """All operations are O(1). Within a priority class, requesters take turns; a task put back goes before all others."""

    def __init__(self) -> None:
        self._lines: tuple[OrderedDict[str, OrderedDict[Task, None]], ...] = (OrderedDict(), OrderedDict())
        self._returned: tuple[OrderedDict[Task, None], ...] = (OrderedDict(), OrderedDict())
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        for returned, lines in zip(self._returned, self._lines, strict=True):
            yield from returned
            for line in lines.values():
                yield from line

    def push(self, task: Task) -> None:
        """At the end of its requester's line."""
        lines = self._lines[not task.priority]
        line = lines.get(task.requester)
        if line is None:
            line = lines[task.requester] = OrderedDict()
        line[task] = None
        self._count += 1

    def put_back(self, task: Task) -> None:
        """Behind those put back before, ahead of all others: it has waited its turn already."""
        self._returned[not task.priority][task] = None
        self._count += 1

    def pop(self) -> Task:
        """The next task; raises IndexError when none waits."""
        for returned, lines in zip(self._returned, self._lines, strict=True):
            if returned:
                self._count -= 1
                return returned.popitem(last=False)[0]
            if lines:
                requester, line = next(iter(lines.items()))
                task = line.popitem(last=False)[0]
                if not line:
                    del lines[requester]
                elif len(lines) > 1:
                    lines.move_to_end(requester)
                self._count -= 1
                return task
        raise IndexError("no task waits")

    def remove(self, task: Task) -> None:
        """Take a waiting task out; raises KeyError when it does not wait here."""
        index = not task.priority
        if task in self._returned[index]:
            del self._returned[index][task]
        else:
            lines = self._lines[index]
            line = lines[task.requester]
            del line[task]
            if not line:
                del lines[task.requester]
        self._count -= 1
