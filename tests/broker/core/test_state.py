"""Directed tests of the broker's core: one per rule or guard."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core import events as e
from broker.core import instructions as i
from broker.core.outcome import Answered, Denied
from broker.core.policy import Policy
from broker.core.state import State
from broker.core.task import KINDS, Phase, Provider, Task


class World:
    """A state with a clock of its own, checked after every event."""

    def __init__(self, **policy: Any) -> None:
        self.state = State(Policy(**policy))
        self.now = 100.0
        self.outcomes: dict[str, Any] = {}
        self.numbers = 0
        self.due = float("inf")

    def tell(self, event: e.Event, after: float = 0.0) -> list[i.Instruction]:
        self.now += after
        out = self.state.handle(event, self.now)
        for wake in [o for o in out if isinstance(o, i.WakeAt)]:
            self.due = wake.when
        self.state.validate()
        for instruction in out:
            if isinstance(instruction, i.Resolve):
                assert instruction.task.id not in self.outcomes, "resolved twice"
                self.outcomes[instruction.task.id] = instruction.outcome
        return out

    def join(self, slots: int = 1, own: bool = True, offers: frozenset[str] = KINDS) -> Provider:
        self.numbers += 1
        provider = Provider(self.numbers, f"p{self.numbers}", "here", self.now)
        self.tell(e.ProviderConnected(provider))
        self.tell(e.ResourcesAnnounced(provider, slots, own, "engine", offers))
        self.tell(e.FilesAnnounced(provider, sequence=1))
        return provider

    def submit(self, name: str, **fields: Any) -> list[i.Instruction]:
        values: dict[str, Any] = {
            "requester": "me",
            "needs": frozenset({"wasip1"}),
            "module": "m",
            "payload": name,
            "reply": None,
        }
        self.tasks = getattr(self, "tasks", {})
        self.tasks[name] = Task(name, **(values | fields))
        return self.tell(e.TaskSubmitted(self.tasks[name]))

    def answer(self, provider: Provider, name: str, after: float = 0.0) -> list[i.Instruction]:
        sequence = next(s for s, run in provider.runs.items() if run.task.id == name)
        return self.tell(e.RunAnswered(provider, sequence, name, f"answer {name}", False), after)

    def pass_time(self, seconds: float, alive: bool = True) -> list[i.Instruction]:
        out: list[i.Instruction] = []
        until = self.now + seconds
        while self.due <= until:
            self.now, self.due = max(self.now, self.due), float("inf")
            out += self.tell(e.TimePassed())
            for ping in [o for o in out if isinstance(o, i.SendPing)]:
                if alive and ping.provider.number in self.state.providers:
                    self.tell(e.PongArrived(ping.provider, ping.sequence))
        self.now = until
        return out


def assigned(out: list[i.Instruction]) -> list[tuple[str, str]]:
    return [(o.run.task.id, o.run.provider.name) for o in out if isinstance(o, i.Assign)]


def test_a_task_goes_to_a_free_slot_and_its_answer_to_the_client() -> None:
    world = World()
    provider = world.join()
    assert assigned(world.submit("a")) == [("a", "p1")]
    world.answer(provider, "a")
    assert world.outcomes["a"] == Answered("answer a", "p1", 1)
    assert provider.done == 1


def test_a_provider_is_not_used_before_it_answered_the_listing() -> None:
    world = World()
    provider = Provider(1, "p1", "here", world.now)
    world.tell(e.ProviderConnected(provider))
    world.tell(e.ResourcesAnnounced(provider, 4))
    assert assigned(world.submit("a")) == []
    assert assigned(world.tell(e.FilesAnnounced(provider, sequence=1))) == [("a", "p1")]


def test_concurrency_zero_means_send_nothing() -> None:
    world = World()
    provider = world.join(slots=0)
    assert assigned(world.submit("a")) == []
    assert assigned(world.tell(e.ResourcesAnnounced(provider, 1))) == [("a", "p1")]


def test_waiting_tasks_are_served_in_order_and_requesters_take_turns() -> None:
    world = World()
    for name in ("a1", "a2", "a3"):
        world.submit(name, requester="a")
    world.submit("b1", requester="b")
    provider = world.join(slots=1)
    order = ["a1"]
    for _ in range(3):
        out = world.answer(provider, order[-1], after=1.0)
        order += [name for name, _ in assigned(out)]
    assert order == ["a1", "b1", "a2", "a3"]


def test_priority_goes_first() -> None:
    world = World()
    world.submit("a")
    world.submit("b", priority=True)
    assert assigned(world.tell(e.ProviderConnected(Provider(9, "p9", "", 0)))) == []
    provider = world.join(slots=1)
    assert [run.task.id for run in provider.runs.values()] == ["b"]


def test_a_provider_that_holds_the_module_is_preferred() -> None:
    world = World()
    first, second = world.join(slots=2), world.join(slots=2)
    world.submit("a", module="m1")
    world.submit("b", module="m2")
    assert world.tasks["a"].run.provider is not world.tasks["b"].run.provider
    holder = world.tasks["b"].run.provider
    world.submit("c", module="m2")
    assert world.tasks["c"].run.provider is holder
    assert {first, second} == {world.tasks["a"].run.provider, holder}


def test_free_slots_are_used_before_anything_is_prefetched() -> None:
    world = World()
    first = world.join(slots=1)
    world.submit("warm")
    world.answer(first, "warm", after=0.001)
    second = world.join(slots=1)
    world.submit("a")
    world.submit("b")
    assert len(first.runs) == len(second.runs) == 1


def test_short_runs_are_prefetched_and_long_or_unknown_ones_are_not() -> None:
    world = World()
    provider = world.join(slots=1)
    world.submit("unknown")
    assert assigned(world.submit("x", module="never seen")) == []
    world.answer(provider, "unknown", after=0.001)
    world.answer(provider, "x", after=5.0)
    world.submit("a", module="m")
    assert assigned(world.submit("b", module="m")) == [("b", "p1")]
    world.answer(provider, "a")
    world.answer(provider, "b")
    world.submit("long", module="never seen")
    assert assigned(world.submit("c", module="m")) == []


@pytest.mark.parametrize(("own", "most"), [(True, 4), (False, 1)])
def test_prefetching_is_bounded(own: bool, most: int) -> None:
    world = World(prefetch=4)
    provider = world.join(slots=1, own=own)
    world.submit("warm")
    world.answer(provider, "warm", after=0.0001)
    for n in range(20):
        world.submit(f"t{n}")
    assert len(provider.runs) == 1 + most


def test_immediate_never_waits() -> None:
    world = World()
    world.submit("early", immediate=True)
    assert world.outcomes["early"].code == "unavailable"
    provider = world.join(slots=1)
    assert assigned(world.submit("a", immediate=True)) == [("a", "p1")]
    world.submit("b", immediate=True)
    assert world.outcomes["b"].code == "unavailable"
    assert len(provider.runs) == 1


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    world = World(queue_limit=2)
    for name in ("a", "b", "c"):
        world.submit(name)
    assert world.outcomes["c"].code == "resource_exhausted"
    assert world.outcomes["c"].retry_after > 0
    assert world.state.waiting == 2


def test_waiting_bytes_are_bounded() -> None:
    world = World(queue_bytes=100)
    world.submit("a", weight=60)
    world.submit("b", weight=60)
    assert world.outcomes["b"].code == "resource_exhausted"
    assert world.state.held_bytes == 60


def test_a_deadline_ends_a_waiting_task_and_says_why_it_waited() -> None:
    world = World()
    world.submit("a", deadline=world.now + 3)
    world.pass_time(2.9)
    assert not world.outcomes
    world.pass_time(0.2)
    assert world.outcomes["a"].code == "deadline_exceeded"
    assert "no provider is connected" in world.outcomes["a"].message


def test_a_deadline_that_has_passed_is_refused_at_once() -> None:
    world = World()
    world.join()
    assert assigned(world.submit("a", deadline=world.now - 1)) == []
    assert world.outcomes["a"].code == "deadline_exceeded"


def test_a_deadline_ends_a_running_task_and_frees_the_slot_when_the_provider_answers() -> None:
    world = World()
    provider = world.join(slots=1)
    world.submit("a", deadline=world.now + 1)
    world.submit("b")
    out = world.pass_time(1.5)
    cancels = [o for o in out if isinstance(o, i.Cancel)]
    assert [c.run.task.id for c in cancels] == ["a"]
    assert world.outcomes["a"].code == "deadline_exceeded"
    assert assigned(out) == []
    sequence = cancels[0].run.sequence
    out = world.tell(e.RunRefused(provider, sequence, "cancelled"))
    assert assigned(out) == [("b", "p1")]
    assert provider.strikes == 0


def test_cancelling_a_waiting_task_takes_it_out() -> None:
    world = World()
    world.submit("a")
    world.tell(e.TaskCancelled(world.tasks["a"], "changed my mind"))
    assert world.outcomes["a"] == Denied("canceled", "changed my mind")
    assert assigned([]) == []
    assert world.join().runs == {}


def test_cancelling_twice_or_after_the_answer_does_nothing() -> None:
    world = World()
    provider = world.join()
    world.submit("a")
    world.answer(provider, "a")
    assert world.tell(e.TaskCancelled(world.tasks["a"], "late")) == []


def test_a_result_that_crosses_a_cancel_is_ignored_and_the_slot_is_free() -> None:
    world = World()
    provider = world.join()
    world.submit("a")
    world.tell(e.TaskCancelled(world.tasks["a"], ""))
    world.tell(e.RunAnswered(provider, 2, "a", "late", False))
    assert world.outcomes["a"].code == "canceled"
    assert assigned(world.submit("b")) == [("b", "p1")]


def test_a_cancelled_run_that_is_lost_with_its_provider_is_not_queued_again() -> None:
    world = World()
    provider = world.join()
    world.submit("a")
    world.tell(e.TaskCancelled(world.tasks["a"], ""))
    world.tell(e.ProviderLost(provider, "gone"))
    assert world.state.waiting == 0
    assert world.join().runs == {}


def test_providers_that_fall_silent_together_are_given_nothing_of_each_other() -> None:
    world = World()
    world.join()
    world.join()
    world.submit("a")
    out = world.pass_time(30, alive=False)
    assert assigned(out) == []
    assert world.tasks["a"].losses == 1


def test_late_and_doubled_results_are_ignored_and_counted() -> None:
    world = World()
    provider = world.join()
    world.submit("a")
    world.answer(provider, "a")
    assert world.tell(e.RunAnswered(provider, 2, "a", "again", False)) == []
    assert world.tell(e.RunAnswered(provider, 999, "a", "invented", False)) == []
    assert world.state.strays == 2


def test_an_answer_for_another_task_drops_the_provider_and_the_task_runs_elsewhere() -> None:
    world = World()
    liar = world.join()
    world.submit("a")
    out = world.tell(e.RunAnswered(liar, 2, "somebody's", "x", False))
    assert [(o.provider, o.code) for o in out if isinstance(o, i.Drop)] == [(liar, 1008)]
    honest = world.join()
    assert [run.task.id for run in honest.runs.values()] == ["a"]


def test_lost_runs_go_first_and_not_to_the_same_provider() -> None:
    world = World()
    first = world.join(slots=1)
    world.submit("a")
    world.submit("b")
    out = world.tell(e.ProviderLost(first, "gone"))
    assert world.state.waiting == 2
    second = world.join(slots=1)
    assert [run.task.id for run in second.runs.values()] == ["a"]
    assert assigned(out) == []
    assert "attempt 1 at p1: lost (gone)" in world.state.story(world.tasks["a"])


def test_a_task_that_is_lost_too_often_ends_with_every_reason() -> None:
    world = World(max_losses=3)
    world.submit("a")
    for _ in range(3):
        provider = world.join()
        world.tell(e.ProviderLost(provider, "crashed"))
    outcome = world.outcomes["a"]
    assert outcome.code == "unavailable"
    assert outcome.message.count("crashed") == 3


def test_a_refused_run_is_tried_elsewhere_at_once() -> None:
    world = World()
    first, second = world.join(), world.join()
    world.submit("a")
    at = world.tasks["a"].run.provider
    out = world.tell(e.RunRefused(at, world.tasks["a"].run.sequence, "disk full"))
    assert assigned(out) == [("a", second.name if at is first else first.name)]


def test_a_refused_run_rests_when_there_is_nobody_else_and_gives_up_in_the_end() -> None:
    world = World(max_refusals=3)
    provider = world.join()
    world.submit("a")
    for _ in range(3):
        if "a" in world.outcomes:
            break
        assert world.tasks["a"].phase is Phase.RUNNING
        world.tell(e.RunRefused(provider, world.tasks["a"].run.sequence, "disk full"))
        world.pass_time(10)
    assert world.outcomes["a"].code == "unavailable"
    assert world.outcomes["a"].message.count("disk full") == 3


def test_a_provider_that_refuses_everything_cools_down() -> None:
    world = World(max_refusals=100)
    provider = world.join()
    world.submit("a")
    for _ in range(6):
        if world.tasks["a"].run:
            world.tell(e.RunRefused(provider, world.tasks["a"].run.sequence, "no"))
        world.pass_time(1)
    assert provider.cool_until > world.now
    assert assigned(world.submit("b")) == []


def test_a_silent_provider_is_dropped_and_its_runs_go_elsewhere() -> None:
    world = World(ping_seconds=5)
    silent = world.join()
    world.submit("a")
    out = world.pass_time(30, alive=False)
    drops = [o for o in out if isinstance(o, i.Drop)]
    assert [d.provider for d in drops] == [silent]
    assert "silent" in drops[0].reason
    assert world.state.waiting == 1


def test_a_provider_that_answers_pings_stays() -> None:
    world = World(ping_seconds=5)
    provider = world.join()
    out = world.pass_time(60)
    assert not [o for o in out if isinstance(o, i.Drop)]
    assert provider.number in world.state.providers


def test_a_run_without_end_is_cancelled_at_the_limit_and_a_deaf_provider_dropped() -> None:
    world = World(run_seconds=60, cancel_grace=10)
    provider = world.join(slots=1)
    world.submit("a")
    out = world.pass_time(62)
    assert [o.run.task.id for o in out if isinstance(o, i.Cancel)] == ["a"]
    assert world.outcomes["a"].code == "deadline_exceeded"
    assert provider.number in world.state.providers
    out = world.pass_time(12)
    assert [o.provider for o in out if isinstance(o, i.Drop)] == [provider]


def test_kinds_are_matched() -> None:
    world = World()
    world.join(offers=frozenset({"wasip1"}))
    assert assigned(world.submit("py", needs=frozenset({"pyodide"}), module="")) == []
    assert assigned(world.submit("a")) == [("a", "p1")]
    python = world.join(offers=frozenset({"pyodide"}))
    assert [run.task.id for run in python.runs.values()] == ["py"]


def test_a_task_that_avoids_the_only_free_provider_does_not_hold_up_the_others() -> None:
    world = World()
    first, second = world.join(slots=2), world.join(slots=1)
    world.submit("a", module="x")
    world.submit("b", module="y")
    assert {first, second} == {world.tasks["a"].run.provider, world.tasks["b"].run.provider}
    at_first = next(t for t in ("a", "b") if world.tasks[t].run.provider is first)
    world.tell(e.RunRefused(first, world.tasks[at_first].run.sequence, "no"))
    assert world.tasks[at_first].phase is Phase.QUEUED
    assert assigned(world.submit("c")) == [("c", first.name)]


def test_draining_hands_back_what_waits_and_lets_runs_finish() -> None:
    world = World()
    provider = world.join(slots=1)
    world.submit("a", module="slow")
    world.submit("b", module="slow")
    world.tell(e.DrainStarted())
    assert world.outcomes["b"].code == "unavailable"
    world.submit("c")
    assert world.outcomes["c"].code == "unavailable"
    world.answer(provider, "a")
    assert isinstance(world.outcomes["a"], Answered)


def test_alarms_do_not_pile_up() -> None:
    world = World()
    provider = world.join()
    for n in range(2000):
        world.submit(f"t{n}", deadline=world.now + 3600)
        world.answer(provider, f"t{n}")
    assert len(world.state._deadlines._heap) < 200


def test_what_a_provider_holds_is_bounded() -> None:
    world = World(modules=3)
    provider = world.join()
    for n in range(10):
        world.submit(f"t{n}", module=f"m{n}")
        world.answer(provider, f"t{n}")
    world.tell(e.FilesAnnounced(provider, tuple(f"f{n}" for n in range(50))))
    assert len(provider.modules) == 3


class TestRunsHeldBehindLongOnes:
    """p1 has a slot, and holds "b" and "c" behind "a", all of which were expected to be short."""

    def world(self, own: bool = True) -> tuple[World, Provider]:
        world = World()
        provider = world.join(own=own)
        world.submit("known")
        world.answer(provider, "known", after=0.001)
        for name in "abc":
            world.submit(name)
        return world, provider

    def test_they_go_to_who_comes_and_is_free(self) -> None:
        world, _ = self.world()
        other = world.join(slots=3)
        out = world.pass_time(3.0)
        assert assigned(out) == [("b", "p2"), ("c", "p2")]
        assert [o.run.task.id for o in out if isinstance(o, i.Cancel)] == ["b", "c"]
        world.answer(other, "b")
        assert world.outcomes["b"] == Answered("answer b", "p2", 2)
        assert world.tasks["a"].attempts == 1

    def test_as_many_as_there_are_free_slots(self) -> None:
        world, _ = self.world()
        world.join(slots=1)
        assert assigned(world.pass_time(9.0)) == [("b", "p2")]

    def test_what_the_first_provider_says_of_them_then_is_ignored(self) -> None:
        world, provider = self.world()
        world.join(slots=3)
        world.pass_time(3.0)
        world.answer(provider, "b")
        sequence = next(s for s, run in provider.runs.items() if run.task.id == "c")
        world.tell(e.RunRefused(provider, sequence, "cancelled: a slot is free elsewhere"))
        assert not world.outcomes.keys() & {"b", "c"}
        assert provider.strikes == 0

    def test_they_stay_for_a_moment_and_while_nobody_else_can_take_them(self) -> None:
        world, _ = self.world()
        world.join(offers=frozenset({"pyodide"}))
        assert assigned(world.pass_time(30.0)) == []
        world, _ = self.world()
        world.join(slots=3)
        assert assigned(world.pass_time(0.9)) == []

    def test_a_provider_of_another_make_keeps_them(self) -> None:
        world, _ = self.world(own=False)
        world.join(slots=3, own=False)
        assert "b" in {run.task.id for p in world.state.providers.values() for run in p.runs.values()}
        assert not [o for o in world.pass_time(5.0) if isinstance(o, i.Cancel)]

    def test_those_that_wait_go_first(self) -> None:
        world, _ = self.world()
        for number in range(40):
            world.submit(f"more {number}")
        other = world.join(slots=2)
        world.pass_time(3.0)
        assert not {run.task.id for run in other.runs.values()} & set("bc")

    @pytest.mark.parametrize("slots", [0, 1])
    def test_what_runs_at_slots_that_retire_is_theirs_to_end(self, slots: int) -> None:
        world = World()
        leaving = world.join(slots=3)
        for name in "abc":
            world.submit(name)
        world.join(slots=3)
        world.tell(e.ResourcesAnnounced(leaving, slots, True))
        world.tell(e.ResourcesAnnounced(leaving, slots, True))
        assert not [o for o in world.pass_time(20.0) if isinstance(o, i.Cancel)]
        for name in "abc":
            world.answer(leaving, name)
        assert {outcome.attempt for outcome in world.outcomes.values()} == {1}

    def test_once_they_have_ended_what_is_held_goes_elsewhere_again(self) -> None:
        world = World()
        provider = world.join(slots=3)
        for name in "xyz":
            world.submit(name)
        world.tell(e.ResourcesAnnounced(provider, 1, True))
        for name in "xyz":
            world.answer(provider, name, after=0.001)
        world.pass_time(2.0)
        for name in "abc":
            world.submit(name)
        world.join(slots=3)
        assert assigned(world.pass_time(3.0)) == [("b", "p2"), ("c", "p2")]


def test_a_task_that_grows_beyond_what_may_be_held_ends_and_others_go_on() -> None:
    world = World(queue_bytes=100)
    world.join()
    for name in "ab":
        world.submit(name, weight=40)
    world.tell(e.TaskGrew(world.tasks["a"], 20))
    out = world.tell(e.TaskGrew(world.tasks["a"], 1))
    assert world.outcomes["a"] == Denied(
        "resource_exhausted", "waiting tasks hold 101 bytes, more than the limit of 100", retry_after=1
    )
    assert [o.run.task.id for o in out if isinstance(o, i.Cancel)] == ["a"]
    world.tell(e.TaskGrew(world.tasks["a"], 50))
    world.tell(e.TaskGrew(world.tasks["b"], -30))
    assert (world.state.held_bytes, world.tasks["b"].weight) == (10, 10)
