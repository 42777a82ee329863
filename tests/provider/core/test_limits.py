"""A run's limit of time, and what it writes while it runs: a test per guard."""

from __future__ import annotations

import pytest

from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.run import Broken, Ended, Exited, Failed, Usage
from pyodide_provider.core.state import LONGEST_WAIT

from .world import World, connected, knowing, make_run


def ask(world: World, sequence: int, wall: float = 0.0, follow: bool = False) -> None:
    world.feed(e.RunAsked(make_run(sequence, wall=wall, follow=follow)))


def test_a_run_over_its_time_is_stopped_with_its_slot_and_the_slot_replaced() -> None:
    world = connected(1)
    ask(world, 1, wall=2.0)
    world.begin(1, 1)
    world.now += 0.1
    world.remind(e.WallDue)
    assert world.outcomes() == {1: Failed("time limit exceeded: ran for 2.1 s, at most 2 s")}
    assert 1 not in world.slots
    (sent,) = [told for told in world.last if isinstance(told, i.SendOutcome)]
    assert sent.ended == Ended(1, sent.outcome, pytest.approx(2.1), Usage())
    assert sent.slot == 1, "what it has used is to be seen there"
    assert world.last.index(sent) < world.last.index(i.StopSlot(1)), "as long as it is there"
    world.all_ready()
    world.ask(2)
    world.end(2)
    assert world.outcomes()[2] == Exited(0)


def test_a_reminder_that_comes_early_is_set_again() -> None:
    world = connected(1)
    ask(world, 1, wall=2.0)
    world.begin(1, 1)
    world.now += 1.9
    world.feed(e.WallDue(1, 1))
    assert not world.answers
    assert world.reminders[-1].delay == pytest.approx(0.1)
    world.remind(e.WallDue)
    assert isinstance(world.outcomes()[1], Failed)


def test_fetching_and_compiling_dont_count() -> None:
    world = connected(1)
    ask(world, 1, wall=2.0)
    assert not world.reminders
    world.now += 1000
    world.begin(1, 1)
    assert [told.delay for told in world.reminders] == [2.0]


def test_a_run_without_a_limit_costs_no_reminder() -> None:
    world = connected(1)
    ask(world, 1)
    world.begin(1, 1)
    assert not world.reminders


def test_a_slot_that_says_it_twice_starts_no_second_clock() -> None:
    world = connected(1)
    ask(world, 1, wall=2.0)
    for _ in range(1000):
        world.begin(1, 1)
    assert len(world.reminders) == 1


def test_the_longest_limit_there_is_needs_no_longer_timer_than_platforms_have() -> None:
    world = connected(1)
    ask(world, 1, wall=(2**64 - 1) / 1000)
    world.begin(1, 1)
    assert world.reminders[-1].delay == LONGEST_WAIT
    world.remind(e.WallDue)
    assert not world.answers
    assert world.reminders[-1].delay == LONGEST_WAIT


def test_others_at_the_slot_are_put_back_and_done() -> None:
    world = knowing(connected(1), 0.0001)
    ask(world, 2, wall=1.0)
    world.ask(3, 4)
    world.begin(1, 2)
    assert world.posted(1) == [2, 3, 4]
    world.remind(e.WallDue)
    world.all_ready()
    assert world.posted(2) == [3, 4]
    world.end(2, 2)
    assert world.outcomes()[3] == world.outcomes()[4] == Exited(0)


def test_a_clock_of_a_run_that_has_ended_stops_nobody_else() -> None:
    world = connected(1)
    ask(world, 1, wall=2.0)
    world.begin(1, 1)
    world.end(1)
    ask(world, 2, wall=50.0)
    world.begin(1, 2)
    world.now += 3
    world.feed(e.WallDue(1, 1))
    assert world.posted(1) == [2]


def test_a_cancelled_run_is_not_answered_once_more_by_its_clock() -> None:
    world = knowing(connected(1), 0.0001)
    ask(world, 2, wall=0.005)
    world.begin(1, 2)
    world.feed(e.CancelAsked(9, "task2", "enough"))
    world.remind(e.WallDue)
    assert world.outcomes()[2] == Broken("cancelled: enough")
    assert 1 in world.slots


@pytest.mark.parametrize("sequence", [2, 3, 99])
def test_only_the_run_that_is_done_now_can_begin_or_write(sequence: int) -> None:
    world = knowing(connected(1), 0.0001)
    ask(world, 2)
    ask(world, 3, wall=1.0, follow=True)
    world.begin(1, sequence)
    world.feed(e.OutputWritten(1, sequence, b"x", b""))
    world.feed(e.OutputWritten(77, sequence, b"x", b""))
    assert not [told for told in world.reminders if isinstance(told.event, e.WallDue)]
    assert not world.written


def test_what_a_followed_run_writes_is_told_until_it_ends() -> None:
    world = connected(1)
    ask(world, 1, follow=True)
    world.feed(e.OutputWritten(1, 1, b"out", b""))
    world.feed(e.OutputWritten(1, 1, b"", b"err"))
    world.end(1)
    world.feed(e.OutputWritten(1, 1, b"late", b""))
    assert [(told.run.sequence, told.stdout, told.stderr) for told in world.written] == [(1, b"out", b""), (1, b"", b"err")]


def test_what_a_cancelled_run_writes_is_told_nobody() -> None:
    world = knowing(connected(1), 0.0001)
    ask(world, 2, follow=True)
    world.feed(e.CancelAsked(9, "task2", "enough"))
    world.feed(e.OutputWritten(1, 2, b"out", b""))
    assert not world.written


def test_what_nobody_follows_is_not_told() -> None:
    world = connected(1)
    ask(world, 1)
    world.feed(e.OutputWritten(1, 1, b"out", b""))
    assert not world.written
