"""Which interpreters wait for Python tasks, and what each was given beforehand. Pure.

A *kit* is what tasks have in common before they begin: packages, and the variables that these may look at when they are
imported. For each kit that was used lately a spare waits which has it already: then packages cost a task no time.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from .run import PythonParams

REMEMBERED = 64
"""Kits that are known, of which those at the front have spares."""
LEAST = 3
IDLE = 600.0
"""Seconds without a Python task after which no interpreter is kept ready."""
LARGEST = 4096
"""Characters of packages and variables: tasks that say more get theirs when they begin."""


class Kit(NamedTuple):
    packages: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()


PLAIN = Kit()


def kit_of(params: PythonParams) -> Kit:
    """PLAIN for a task that nothing can be prepared for."""
    if not params.packages or sum(map(len, params.packages + params.envs)) > LARGEST:
        return PLAIN
    return Kit(tuple(sorted(set(params.packages))), params.envs)


class Spares:
    """As many wait as there are workers, at most, but LEAST may. Interpreters are known by numbers of the caller's."""

    def __init__(self, workers: int) -> None:
        self.workers(workers)
        self.waiting: dict[int, Kit] = {}
        self._busy: Counter[Kit] = Counter()
        self._recent: OrderedDict[Kit, bool] = OrderedDict({PLAIN: True})
        """The last used at the end; whether spares can be made of it."""
        self._used = False

    def workers(self, count: int) -> None:
        """So many tasks run at a time, at most."""
        self.most = max(LEAST, count)

    def take(self, kit: Kit) -> tuple[int, Kit] | None:
        """A task with that kit begins: the spare for it, the longest waiting first, and what it has: the kit, or nothing.

        None: there is none, start one.
        """
        self._used = True
        self._busy[kit] += 1
        self._recent.setdefault(kit, True)
        self._recent.move_to_end(kit)
        self._forget()
        for wanted in (kit, PLAIN):
            for number, had in self.waiting.items():
                if had == wanted:
                    del self.waiting[number]
                    return number, had
        return None

    def ended(self, kit: Kit) -> None:
        """A task with that kit has ended."""
        self._busy[kit] -= 1
        if self._busy[kit] <= 0:
            del self._busy[kit]

    def put(self, number: int, kit: Kit) -> None:
        """That one waits from now on."""
        self.waiting[number] = kit

    def drop(self, number: int) -> None:
        """That one waits no more: it has died, or is not wanted."""
        del self.waiting[number]

    def failed(self, kit: Kit) -> None:
        """One could not be given that kit: no more spares are made of it, until it is forgotten."""
        if kit in self._recent and kit != PLAIN:
            self._recent[kit] = False

    def plan(self) -> tuple[list[Kit], list[int]]:
        """(kits of which one more should be started each, those that should go)."""
        there = Counter(self.waiting.values())
        wanted = self._wanted()
        starts = [kit for kit, count in wanted.items() for _ in range(count - there[kit])]
        stops: list[int] = []
        over = there - Counter(wanted)
        for number, kit in self.waiting.items():
            if over[kit] > 0 and len(self.waiting) - len(stops) + len(starts) > self.most:
                over[kit] -= 1
                stops.append(number)
        return starts, stops

    def _wanted(self) -> dict[Kit, int]:
        """As many as tasks run with a kit, since that many may end at once, and at least one; the last used kits first."""
        if not self._used:
            return {}
        left = self.most
        wanted: dict[Kit, int] = {}
        # One each before there is a second of any.
        kits = [kit for kit, good in reversed(self._recent.items()) if good]
        for kit in kits[: self.most]:
            wanted[kit] = 1
            left -= 1
        for kit in wanted:
            more = min(self._busy[kit] - 1, left) if self._busy[kit] else 0
            wanted[kit] += more
            left -= more
        return wanted

    def _forget(self) -> None:
        while len(self._recent) > REMEMBERED:
            del self._recent[next(kit for kit in self._recent if kit != PLAIN)]

    def validate(self) -> None:
        """Raise AssertionError, in words, when an invariant does not hold. For tests, after every step."""
        assert len(self._recent) <= REMEMBERED, "more kits than are remembered"
        assert all(count > 0 for count in self._busy.values()), "a kit is used by less than no task"
        starts, stops = self.plan()
        assert len(self.waiting) + len(starts) - len(stops) <= self.most, "more spares than may wait"
