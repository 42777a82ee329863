"""Which interpreters wait, and for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.core.run import PythonParams
from pyodide_provider.core.spares import LARGEST, PLAIN, REMEMBERED, Kit, Spares, kit_of

A, B, C = (Kit((name,)) for name in "abc")


class Shop:
    """Does what the plan says, at once."""

    def __init__(self, most: int) -> None:
        self.spares = Spares(most)
        self.spares.most = most
        self.last = 0

    def fail(self, number: int) -> None:
        kit = self.spares.waiting[number]
        self.spares.drop(number)
        self.spares.failed(kit)

    def begin(self, kit: Kit) -> tuple[int, Kit] | None:
        found = self.spares.take(kit)
        self.follow()
        return found

    def follow(self) -> None:
        self.spares.validate()
        starts, stops = self.spares.plan()
        for number in stops:
            self.spares.drop(number)
        for kit in starts:
            self.last += 1
            self.spares.put(self.last, kit)
        assert self.spares.plan() == ([], []), "a plan that is followed is fulfilled"
        self.spares.validate()

    def kits(self) -> list[Kit]:
        return sorted(self.spares.waiting.values())


def test_there_may_be_some_even_where_there_is_one_worker() -> None:
    assert [Spares(count).most for count in (1, 3, 8)] == [3, 3, 8]


def test_nothing_waits_before_the_first_task() -> None:
    shop = Shop(3)
    shop.follow()
    assert shop.kits() == []
    assert shop.spares.take(PLAIN) is None
    shop.follow()
    assert shop.kits() == [PLAIN]


def test_the_second_task_with_packages_finds_a_spare_that_has_them() -> None:
    shop = Shop(3)
    shop.begin(A)
    assert shop.kits() == [PLAIN, A]
    number = next(number for number, kit in shop.spares.waiting.items() if kit == A)
    assert shop.spares.take(A) == (number, A)


def test_where_there_is_none_that_has_them_a_plain_one_will_do() -> None:
    shop = Shop(3)
    shop.begin(PLAIN)
    assert shop.begin(A) == (1, PLAIN)


def test_a_kit_is_what_packages_see_before_a_task_begins() -> None:
    assert kit_of(PythonParams(envs=("A=1",))) == PLAIN
    assert kit_of(PythonParams(packages=("b", "a", "b"), envs=("A=1",))) == Kit(("a", "b"), ("A=1",))
    assert kit_of(PythonParams(packages=("a",), envs=(f"A={'x' * LARGEST}",))) == PLAIN


def test_as_many_wait_as_are_used_at_once_but_never_more_than_may() -> None:
    shop = Shop(4)
    for _ in range(3):
        shop.begin(PLAIN)
    assert shop.kits() == [PLAIN] * 3
    for _ in range(10):
        shop.begin(A)
    assert shop.kits() == [PLAIN, A, A, A]


def test_the_least_recently_used_kit_makes_room() -> None:
    shop = Shop(2)
    for kit in (A, B, C):
        shop.begin(kit)
        shop.spares.ended(kit)
    assert shop.kits() == [B, C]


def test_a_kit_that_can_not_be_made_is_not_tried_again_until_it_is_forgotten() -> None:
    shop = Shop(3)
    shop.begin(A)
    number = next(number for number, kit in shop.spares.waiting.items() if kit == A)
    shop.fail(number)
    shop.follow()
    assert shop.kits() == [PLAIN]
    shop.begin(A)
    assert shop.kits() == [PLAIN]
    for number in range(REMEMBERED):
        shop.begin(Kit((str(number),)))
    shop.begin(A)
    assert A in shop.kits()


def test_a_plain_one_that_could_not_be_started_is_tried_again() -> None:
    shop = Shop(3)
    shop.begin(PLAIN)
    shop.fail(1)
    shop.follow()
    assert shop.kits() == [PLAIN]


def test_a_thousand_kits_leave_no_more_than_are_remembered() -> None:
    shop = Shop(2)
    for number in range(1000):
        kit = Kit((str(number),))
        shop.begin(kit)
        shop.spares.ended(kit)
    assert len(shop.spares._recent) == REMEMBERED
    assert len(shop.spares.waiting) == 2


KITS = st.sampled_from([PLAIN, A, B, C])
STEPS = st.lists(st.tuples(st.sampled_from(["begin", "end", "die", "fail", "follow"]), KITS), max_size=60)


@given(most=st.integers(1, 5), steps=STEPS)
def test_whatever_happens_there_are_never_more_than_may_wait(most: int, steps: list[tuple[str, Kit]]) -> None:
    shop = Shop(most)
    running: list[Kit] = []
    for step, kit in steps:
        if step == "begin":
            running.append(kit)
            shop.spares.take(kit)
        elif step == "end" and kit in running:
            running.remove(kit)
            shop.spares.ended(kit)
        elif step == "die" and shop.spares.waiting:
            shop.spares.drop(next(iter(shop.spares.waiting)))
        elif step == "fail" and shop.spares.waiting:
            shop.fail(next(iter(shop.spares.waiting)))
        else:
            shop.follow()
        shop.spares.validate()
