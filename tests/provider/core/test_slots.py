"""How many workers live, and what becomes of those that die: a test per guard."""

from __future__ import annotations

from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.run import Broken
from pyodide_provider.core.state import MAX_WORKERS

from .world import connected, knowing, make_world


def test_the_first_event_starts_the_workers() -> None:
    world = make_world(3)
    world.feed(e.WorkersWanted(3))
    assert list(world.slots) == [1, 2, 3]


def test_a_slot_that_dies_idle_rests_before_it_is_replaced() -> None:
    world = connected(1)
    world.lose(1)
    assert world.slots == {}
    assert world.reminders == [i.Remind(0.5, e.SlotDue(2))]
    world.remind(e.SlotDue)
    assert list(world.slots) == [2]


def test_a_slot_that_dies_at_work_is_replaced_at_once() -> None:
    world = connected(1)
    world.ask(1)
    world.lose(1)
    assert list(world.slots) == [2]


def test_rests_grow_while_workers_die_at_the_start_and_end_with_the_first_run() -> None:
    world = connected(1)
    delays = []
    for slot in range(1, 10):
        world.lose(slot)
        delays.append(world.reminders[-1].delay)
        world.remind(e.SlotDue)
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    world.all_ready()
    world.ask(1)
    world.end(10)
    world.lose(10)
    assert world.reminders[-1].delay == 0.5


def test_a_due_that_comes_for_a_stopped_slot_starts_nothing() -> None:
    world = connected(1)
    world.lose(1)
    world.feed(e.WorkersWanted(0))
    world.remind(e.SlotDue)
    assert world.slots == {}


def test_fewer_workers_idle_ones_go_first_and_busy_ones_end_their_run() -> None:
    world = connected(3)
    world.ask(1, 2)
    world.feed(e.WorkersWanted(1))
    assert list(world.slots) == [1, 2]
    retiring = next(slot.number for slot in world.state.pool.slots.values() if slot.retiring)
    world.end(retiring)
    assert len(world.slots) == 1
    assert len(world.answers) == 1


def test_a_retiring_slot_gets_nothing_more() -> None:
    world = knowing(connected(2), 0.0001)
    world.ask(2, 3)
    world.feed(e.WorkersWanted(1))
    retiring = next(slot.number for slot in world.state.pool.slots.values() if slot.retiring)
    world.ask(*range(4, 30))
    assert len(world.posted(retiring)) == 1


def test_a_retiring_slot_is_kept_when_more_are_wanted_again() -> None:
    world = connected(2)
    world.ask(1, 2)
    world.feed(e.WorkersWanted(1))
    world.feed(e.WorkersWanted(2))
    assert list(world.slots) == [1, 2]
    world.end(1)
    world.end(2)
    assert list(world.slots) == [1, 2]


def test_a_retiring_slot_that_dies_is_not_replaced() -> None:
    world = connected(2)
    world.ask(1, 2)
    world.feed(e.WorkersWanted(1))
    retiring = next(slot.number for slot in world.state.pool.slots.values() if slot.retiring)
    world.lose(retiring)
    assert len(world.slots) == 1


def test_no_workers_takes_none_and_hands_back_the_queue() -> None:
    world = connected(1)
    world.ask(1, 2)
    world.feed(e.WorkersWanted(0))
    assert world.outcomes() == {2: Broken("the provider is set to run nothing")}
    assert world.resources[-1] == i.SendResources(0, 1)
    world.ask(3)
    assert world.outcomes()[3] == Broken("the provider is set to run nothing")
    world.end(1)
    assert world.slots == {}


def test_workers_are_clamped() -> None:
    world = make_world(-1)
    world.feed(e.WorkersWanted(-5))
    assert world.slots == {}
    world.feed(e.WorkersWanted(10**9))
    assert len(world.slots) == MAX_WORKERS


def test_when_no_worker_starts_the_queue_goes_back_with_the_reason() -> None:
    world = make_world(1)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkOpened())
    world.ask(1)
    world.lose(1, "no wasmtime here")
    assert world.outcomes() == {1: Broken("no worker of the provider starts: no wasmtime here")}
    assert world.resources[-1].concurrency == 0
    world.ask(2)
    assert world.outcomes()[2] == Broken("no worker of the provider starts: no wasmtime here")


def test_concurrency_is_announced_when_it_changes_and_never_per_run() -> None:
    world = connected(2)
    assert world.resources == [i.SendResources(2, 0)]
    world.ask(1, 2, 3)
    world.end(1)
    world.feed(e.CancelAsked(9, "task2", "a kill and its replacement change nothing"))
    assert len(world.resources) == 1
    world.feed(e.WorkersWanted(3))
    assert world.resources[-1] == i.SendResources(3, 1)
    world.all_ready()
    world.lose(next(slot for slot, runs in world.slots.items() if not runs and slot in world.ready))
    assert world.resources[-1].concurrency == 2
