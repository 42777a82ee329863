"""Which run goes where, and that each is answered once: a test per guard."""

from __future__ import annotations

import pytest

from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.costs import REMEMBERED as REMEMBERED_BINARIES
from pyodide_provider.core.costs import UNKNOWN, Costs
from pyodide_provider.core.run import Broken, Ended, Exited, Failed, Usage
from pyodide_provider.core.status import status_of
from pyodide_provider.core.story import REMEMBERED as REMEMBERED_ENTRIES
from pyodide_provider.core.story import Story

from .world import World, connected, knowing, make_run, make_world


def test_a_run_goes_to_an_idle_slot_and_its_outcome_back() -> None:
    world = connected()
    world.ask(7)
    assert world.posted(1) == [7]
    world.end(1, outcome=Exited(3, b"out"))
    assert world.outcomes() == {7: Exited(3, b"out")}


def test_runs_spread_over_slots_before_any_gets_a_second() -> None:
    world = knowing(connected(3), 0.0001)
    world.ask(2, 3, 4, 5, 6, 7)
    assert sorted(len(runs) for runs in world.slots.values()) == [2, 2, 2]


def test_runs_of_an_unknown_binary_wait_for_an_idle_slot() -> None:
    world = connected(2)
    world.ask(1, 2, 3)
    assert [world.posted(1), world.posted(2)] == [[1], [2]]
    world.end(2)
    assert [world.posted(1), world.posted(2)] == [[1], [3]]


def test_an_inline_binary_is_never_known() -> None:
    world = knowing(connected(1), 0.0001, ref="")
    world.ask(2, 3, ref="")
    assert world.posted(1) == [2]


def test_short_runs_are_posted_behind_each_other_up_to_a_count() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(*range(2, 40))
    assert world.posted(1) == list(range(2, 18))


def test_short_runs_are_posted_behind_each_other_up_to_a_time() -> None:
    world = knowing(connected(1), 0.01)
    world.ask(*range(2, 40))
    assert world.posted(1) == [2, 3]


class TestRunsBehindOneThatIsLongerThanExpected:
    """Two slots, runs known to be short: 2, 5, 7 at the first, of which 2 does not end; 3, 4, 6 at the second."""

    def world(self) -> World:
        world = knowing(connected(2), 0.001)
        world.ask(*range(2, 8))
        assert [world.posted(1), world.posted(2)] == [[2, 5, 7], [3, 4, 6]]
        world.end(2, count=3)
        return world

    def test_they_go_to_an_idle_slot_and_are_answered_once(self) -> None:
        world = self.world()
        assert world.posted(2) == [], "they may only have to wait a moment"
        world.remind(e.BalanceDue)
        assert world.posted(2) == [5, 7]
        world.end(2, count=2)
        world.end(1, count=3)
        assert [run.sequence for run, _ in world.answers] == [1, 3, 4, 6, 5, 7, 2]

    def test_they_stay_while_the_others_are_busy(self) -> None:
        world = self.world()
        world.ask(8)
        world.remind(e.BalanceDue)
        assert world.posted(2) == [8]
        world.end(2)
        world.remind(e.BalanceDue)
        assert world.posted(2) == [5, 7]

    def test_they_stay_when_their_head_has_only_just_begun(self) -> None:
        world = self.world()
        world.now += 0.024
        world.end(1)
        world.now += 0.001
        world.feed(e.BalanceDue())
        assert world.posted(2) == []
        world.remind(e.BalanceDue)
        assert world.posted(2) == [7], "it looks again as long as they wait"

    def test_a_run_cancelled_then_is_stopped_where_it_really_is(self) -> None:
        world = self.world()
        world.remind(e.BalanceDue)
        world.feed(e.CancelAsked(9, "task5", "no more"))
        world.remind(e.UnwantedDue)
        assert i.StopSlot(2) in world.last
        assert list(world.slots) == [1, 3], "the slot of the long run goes on"

    def test_the_first_slot_does_not_stay_with_what_the_other_does(self) -> None:
        world = self.world()
        world.remind(e.BalanceDue)
        world.end(1)
        world.remind(e.UnwantedDue)
        assert i.StopSlot(1) in world.last

    def test_a_slot_that_starts_helps_as_well(self) -> None:
        world = knowing(connected(1), 0.001)
        world.ask(2, 3, 4)
        world.feed(e.WorkersWanted(2))
        world.all_ready()
        world.remind(e.BalanceDue)
        assert world.posted(2) == [3, 4]

    def test_nothing_is_looked_at_again_once_nobody_waits(self) -> None:
        world = self.world()
        world.end(1, count=3)
        world.remind(e.BalanceDue)
        assert not [reminder for reminder in world.reminders if isinstance(reminder.event, e.BalanceDue)]


def test_long_runs_never_pile_up() -> None:
    world = knowing(connected(2), 0.02)
    world.ask(*range(2, 8))
    assert [world.posted(1), world.posted(2)] == [[2], [3]]


def test_nothing_is_posted_behind_a_run_that_takes_longer_than_expected() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(2)
    world.now += 0.5
    world.ask(3)
    assert world.posted(1) == [2]


def test_a_long_run_among_short_ones_makes_the_binary_long_at_once() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(2)
    world.end(1, seconds=0.02)
    world.ask(3, 4)
    assert world.posted(1) == [3]


def test_costs_rise_at_once_and_fall_slowly() -> None:
    costs, run = Costs(), make_run(1)
    for seconds, expected in ((0.001, 0.001), (0.02, 0.02), (0.0, 0.015), (0.1, 0.1)):
        costs.learn(run, seconds)
        assert costs.estimate(run) == pytest.approx(expected)


def test_costs_and_stories_are_bounded() -> None:
    costs, story = Costs(), Story()
    for number in range(REMEMBERED_BINARIES + 10):
        costs.learn(make_run(1, ref=f"sha256:{number}"), 0.1)
    for number in range(REMEMBERED_ENTRIES + 10):
        story.tell(0.0, "task", number, "asked for")
    assert len(costs) == REMEMBERED_BINARIES
    assert costs.estimate(make_run(1, ref="sha256:9")) == UNKNOWN
    assert len(story.of("task")) == REMEMBERED_ENTRIES


def test_a_binary_becomes_short_again_with_time() -> None:
    world = knowing(connected(1), 0.02)
    for sequence in range(2, 20):
        world.ask(sequence)
        world.end(1, seconds=0.0001)
    world.ask(30, 31)
    assert world.posted(1) == [30, 31]


def test_a_failed_run_teaches_nothing() -> None:
    world = connected(1)
    world.ask(1)
    world.end(1, seconds=0.0, outcome=Failed("blob not found"))
    world.ask(2, 3)
    assert world.posted(1) == [2]
    assert world.state.failed == 1


def test_first_come_first_served_even_when_a_later_one_would_fit() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(2)
    world.ask(3, ref="sha256:unknown")
    world.ask(4)
    assert world.posted(1) == [2]
    world.end(1)
    assert world.posted(1) == [3]
    world.end(1)
    assert world.posted(1) == [4]


def test_a_lost_slot_breaks_its_head_and_gives_back_the_others_first_in_line() -> None:
    world = knowing(connected(1), 0.006)
    world.ask(*range(2, 9))
    assert world.posted(1) == [2, 3, 4, 5]
    world.lose(1, "killed by signal 9")
    assert world.outcomes()[2] == Broken("worker died: killed by signal 9")
    assert list(world.slots) == [2]
    world.all_ready()
    assert world.posted(2) == [3, 4, 5, 6]


def test_a_slot_may_say_how_the_run_that_killed_it_ends() -> None:
    world = connected(1)
    world.ask(1)
    world.lose(1, "killed by signal 25", Failed("output limit"))
    assert world.outcomes() == {1: Failed("output limit")}
    (sent,) = [told for told in world.last if isinstance(told, i.SendOutcome)]
    assert sent.ended == Ended(1, Failed("output limit"), 0.5, Usage(cpu=0.25))


def test_a_slot_that_answers_out_of_turn_is_replaced() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(2, 3)
    world.feed(e.RunsEnded(1, (Ended(3, Exited(0)),)))
    assert i.StopSlot(1) in world.last
    assert isinstance(world.outcomes()[2], Broken)
    world.all_ready()
    assert world.posted(2) == [3]


def test_a_slot_that_is_spent_is_replaced_at_once() -> None:
    world = knowing(connected(1), 0.0001)
    world.ask(2, 3)
    world.end(1, 1)
    world.feed(e.SlotSpent(1))
    assert world.last == [i.StopSlot(1), i.StartSlot(2)]
    assert world.outcomes()[2] == Exited(0)
    world.all_ready()
    assert world.posted(2) == [3]
    world.feed(e.SlotSpent(1))
    assert world.last == []


def test_what_a_stopped_slot_says_is_ignored() -> None:
    world = connected(1)
    world.ask(1)
    world.feed(e.CancelAsked(9, "task1", "enough"))
    world.feed(e.RunsEnded(1, (Ended(1, Exited(0)),)))
    world.feed(e.SlotLost(1, "gone"))
    world.feed(e.SlotReady(1))
    assert len(world.answers) == 1
    assert world.last == []


def test_a_sequence_used_twice_is_refused_and_the_first_goes_on() -> None:
    world = connected(1)
    world.ask(1)
    world.feed(e.RunAsked(make_run(1, "other")))
    (run, outcome) = world.answers[0]
    assert run.task == "other"
    assert outcome == Broken("sequence 1 is already in use for a run")
    world.end(1)
    assert world.answers[1][0].task == "task1"


def test_the_queue_is_bounded_in_runs() -> None:
    world = connected(1, max_runs=3)
    world.ask(1, 2, 3, 4)
    assert world.outcomes() == {4: Broken("provider queue full: it holds 3 runs")}
    world.end(1)
    world.ask(5)
    assert 5 not in world.outcomes()


def test_the_queue_is_bounded_in_bytes() -> None:
    world = connected(1, max_bytes=2 << 20)
    world.feed(e.RunAsked(make_run(1, stdin=bytes(1 << 20))))
    world.feed(e.RunAsked(make_run(2, stdin=bytes(1 << 20))))
    assert world.outcomes() == {2: Broken("provider queue full: it holds 2 MiB of parameters")}
    world.end(1)
    world.feed(e.RunAsked(make_run(3, stdin=bytes(1 << 20))))
    assert world.posted(1) == [3]


def test_a_run_asked_before_the_link_is_up_is_nothing() -> None:
    world = make_world()
    world.feed(e.ConnectWanted())
    assert world.feed(e.RunAsked(make_run(1))) == []
    assert not world.state.backlog.queue


class TestCancel:
    def test_a_queued_run_is_dropped_and_both_are_answered(self) -> None:
        world = connected(1)
        world.ask(1, 2)
        world.feed(e.CancelAsked(9, "task2", "client gone"))
        assert world.outcomes() == {2: Broken("cancelled: client gone")}
        assert world.cancelled == [i.SendCancelled(9, "task2", "client gone")]
        world.end(1)
        assert world.posted(1) == []

    @pytest.mark.parametrize("seconds", [None, 0.0251])
    def test_a_run_that_may_be_long_is_killed_at_once(self, seconds: float | None) -> None:
        world = knowing(connected(1), seconds) if seconds else connected(1)
        world.ask(2, 3)
        world.feed(e.CancelAsked(9, "task2", "deadline"))
        assert i.StopSlot(1) in world.last
        assert i.StartSlot(2) in world.last
        assert world.outcomes()[2] == Broken("cancelled: deadline")
        world.all_ready()
        assert world.posted(2) == [3]

    def test_a_run_that_was_expected_to_be_short_has_a_moment_to_end(self) -> None:
        world = knowing(connected(1), 0.006)
        world.ask(*range(2, 9))
        world.feed(e.CancelAsked(9, "task2", "deadline"))
        assert world.outcomes()[2] == Broken("cancelled: deadline")
        assert list(world.slots) == [1]
        world.end(1)
        world.remind(e.UnwantedDue)
        assert list(world.slots) == [1], "it ended in time"
        assert len(world.answers) == 2

    def test_after_that_it_is_killed_and_those_behind_it_go_first(self) -> None:
        world = knowing(connected(1), 0.006)
        world.ask(*range(2, 9))
        world.feed(e.CancelAsked(9, "task2", "deadline"))
        world.remind(e.UnwantedDue)
        assert i.StopSlot(1) in world.last
        world.all_ready()
        assert world.posted(2) == [3, 4, 5, 6]

    def test_a_run_behind_the_head_is_answered_at_once_and_its_outcome_discarded(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3, 4)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        assert world.outcomes()[3] == Broken("cancelled: no more")
        assert list(world.slots) == [1], "nothing is killed for it"
        world.end(1, count=3)
        assert [run.sequence for run, _ in world.answers] == [1, 3, 2, 4]
        assert world.outcomes()[3] == Broken("cancelled: no more")

    def test_an_unwanted_run_that_becomes_the_head_and_stays_is_killed(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3, 4)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        world.end(1)
        assert list(world.slots) == [1], "it has a moment to end by itself"
        world.remind(e.UnwantedDue)
        assert list(world.slots) == [2]
        world.all_ready()
        assert world.posted(2) == [4]

    def test_an_unwanted_head_that_ended_in_time_is_not_killed(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3, 4)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        world.end(1)
        world.end(1)
        world.remind(e.UnwantedDue)
        assert world.posted(1) == [4]

    def test_an_unwanted_head_of_a_lost_slot_is_not_answered_again(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3, 4)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        world.end(1)
        world.lose(1)
        assert [run.sequence for run, _ in world.answers] == [1, 3, 2]

    def test_an_unknown_task_is_answered_all_the_same(self) -> None:
        world = connected(1)
        world.feed(e.CancelAsked(9, "nobody", "why not"))
        assert world.last == [i.SendCancelled(9, "nobody", "why not")]

    def test_all_runs_of_the_task_end(self) -> None:
        world = connected(2)
        world.ask(1, 2, 3, task="twin")
        world.feed(e.CancelAsked(9, "twin", "enough"))
        assert set(world.outcomes()) == {1, 2, 3}
        assert sum(isinstance(told, i.SendCancelled) for told in world.last) == 1

    def test_a_cancel_that_crosses_the_outcome_changes_nothing(self) -> None:
        world = connected(1)
        world.ask(1)
        world.end(1)
        world.feed(e.CancelAsked(9, "task1", "late"))
        assert world.outcomes() == {1: Exited(0)}
        assert list(world.slots) == [1]

    def test_a_sequence_may_be_used_again_while_an_unwanted_run_of_it_is_at_a_slot(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        world.ask(3, task="again")
        world.end(1, count=3, outcome=Exited(5))
        assert world.answers[-1][0].task == "again"
        assert world.answers[-1][1] == Exited(5)


def test_the_story_of_a_task_tells_what_happened() -> None:
    world = knowing(connected(1), 0.001)
    world.ask(*range(2, 5))
    world.lose(1)
    assert [line.split(" ", 1)[1] for line in world.state.story("task3")] == [
        "#3 asked for",
        "#3 posted to slot 1",
        "#3 put back",
    ]
    assert world.state.story("nobody") == []


def test_status_tells_what_runs() -> None:
    world = connected(1)
    world.ask(1, 2)
    status = status_of(world.state)
    assert (status.link, status.workers, status.ready) == ("connected", 1, 1)
    assert (status.running, status.queued) == (("task1",), 1)
    world.end(1)
    assert status_of(world.state).done == 1


def test_validate_finds_a_run_that_was_dropped() -> None:
    world = connected(1)
    world.ask(1)
    world.state.pool.slots[1].posted.clear()
    with pytest.raises(AssertionError, match="nowhere"):
        world.state.validate()
