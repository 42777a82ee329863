"""The rules of a program's threads, with threads of Python's in their place."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyodide_provider.native.crew import Crew

CROWDED = "too many"
PATIENCE = 30


class Made:
    """A crew whose first thread does `first`, and the others `other`."""

    def __init__(self, most: int, first: Callable[[Crew], None], other: Callable[[Crew, int], None]) -> None:
        self.begun: list[int] = []
        self._first, self._other = first, other
        self.crew = Crew(most, CROWDED, self._work)

    def _work(self, number: int, argument: int) -> None:
        self.begun.append(number)
        self.crew.entered()
        if number:
            self._other(self.crew, argument)
        else:
            self._first(self.crew)
        self.crew.left(number)


def waits(crew: Crew, argument: int) -> None:
    assert crew.over.wait(PATIENCE)


def returns(crew: Crew, argument: int) -> None:
    pass


def forks(count: int) -> Callable[[Crew], None]:
    def first(crew: Crew) -> None:
        for number in range(count):
            crew.spawn(number)
        crew.end(0)

    return first


def test_as_many_as_may_be() -> None:
    made = Made(3, forks(2), waits)
    assert made.crew.run() == 0
    assert made.crew.gone.wait(PATIENCE)


def test_one_more() -> None:
    made = Made(3, forks(3), waits)
    assert made.crew.run() == CROWDED
    assert made.crew.gone.wait(PATIENCE)
    assert sorted(made.begun) == [0, 1, 2]


def test_those_that_return_make_room() -> None:
    made = Made(2, forks(500), returns)
    assert made.crew.run() == 0
    assert made.crew.gone.wait(PATIENCE)


def test_nobody_is_started_while_another_has_not_begun() -> None:
    """Else those that wait for Python would keep the one that ends the run from it."""
    beginning: list[int] = []
    together: list[int] = []

    def work(number: int, argument: int) -> None:
        beginning.append(number)
        time.sleep(0.002)
        together.append(len(beginning))
        beginning.remove(number)
        crew.entered()
        if number == 20:
            crew.end(7)
        if not number:
            for _ in range(20):
                crew.spawn(0)
        crew.left(number)

    crew = Crew(64, CROWDED, work)
    assert crew.run() == 7
    assert together == [1] * 21


def test_a_thread_that_fails_before_it_has_begun_holds_nobody_up() -> None:
    def work(number: int, argument: int) -> None:
        if number != 1:
            crew.entered()
        if not number:
            crew.spawn(0)
            crew.spawn(0)
        if number == 2:
            crew.end(5)
        crew.left(number)

    crew = Crew(3, CROWDED, work)
    assert crew.run() == 5


def test_who_wants_another_when_the_run_is_over_gets_none() -> None:
    asked: list[int | None] = []

    def first(crew: Crew) -> None:
        crew.end(3)
        asked.append(crew.spawn(0))

    made = Made(2, first, waits)
    assert made.crew.run() == 3
    assert made.crew.gone.wait(PATIENCE)
    assert asked == [None]


def test_what_was_not_started_when_the_run_ended_has_gone() -> None:
    def work(number: int, argument: int) -> None:
        if not number:
            crew.spawn(0)
            crew.spawn(0)
            crew.end(1)
        crew.left(number)

    crew = Crew(3, CROWDED, work)
    assert crew.run() == 1
    assert crew.gone.wait(PATIENCE)
