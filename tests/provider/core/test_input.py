"""Standard input that comes while a run waits or runs: a test per guard."""

from __future__ import annotations

from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.input import FULL, MAX_INPUT, MAX_KEPT, OVERFED
from pyodide_provider.core.run import Broken, Ended, Exited, Failed, Usage

from .world import World, connected, knowing, make_run


def ask(world: World, *sequences: int) -> None:
    for sequence in sequences:
        world.feed(e.RunAsked(make_run(sequence, interactive=True)))


def types(world: World, sequence: int, data: bytes, end: bool = False) -> None:
    world.feed(e.InputArrived(sequence, data, end))


def test_what_comes_goes_to_the_slot_in_order_until_the_end() -> None:
    world = connected(2)
    ask(world, 1, 2)
    types(world, 1, b"a")
    types(world, 2, b"x")
    types(world, 1, b"b", end=True)
    types(world, 1, b"after the end")
    assert world.typed == {1: b"ab", 2: b"x"}
    assert world.typed_out == {1}


def test_what_comes_before_the_run_is_at_a_slot_is_kept() -> None:
    world = connected(1)
    ask(world, 1, 2)
    types(world, 2, b"a")
    types(world, 2, b"b", end=True)
    assert world.typed == {1: b""}
    world.end(1)
    assert world.typed == {1: b"", 2: b"ab"}
    assert world.typed_out == {2}


def test_an_interactive_run_has_a_slot_for_itself_however_short_its_program_is_known_to_be() -> None:
    world = knowing(connected(1), 0.0001)
    ask(world, 2)
    world.ask(3, 4)
    ask(world, 5)
    assert world.posted(1) == [2]
    world.end(1, seconds=9.0)
    assert world.posted(1) == [3, 4], "how long somebody typed says nothing about the program"
    world.end(1, 2)
    assert world.posted(1) == [5]


def test_more_than_a_run_may_be_given_ends_it() -> None:
    world = connected(1)
    ask(world, 1, 2)
    for sequence in (2, 1):
        types(world, sequence, bytes(MAX_INPUT))
        assert world.answers == []
        assert 1 in world.slots
        types(world, sequence, b"x")
        assert world.outcomes() == {sequence: Failed(OVERFED)}
        world.answers.clear()
    assert 1 not in world.slots, "a run that is at a slot is stopped with it"
    assert world.state.inputs.kept == 0


def test_what_its_program_has_read_makes_room_and_is_told() -> None:
    world = connected(1)
    world.feed(e.RunAsked(make_run(1, stdin=b"with it", interactive=True)))
    told: list[i.Instruction] = []
    for times in range(1, 4):
        types(world, 1, bytes(MAX_INPUT))
        told += world.feed(e.InputTaken(1, 1, 7 + times * MAX_INPUT))
    assert told == [i.SendTaken(1, times * MAX_INPUT) for times in (1, 2, 3)]
    assert world.feed(e.InputTaken(1, 1, 7 + MAX_INPUT)) == world.feed(e.InputTaken(1, 9, 5)) == []
    assert world.feed(e.InputTaken(1, 1, 2**60)) == [], "no more is read than came"
    types(world, 1, bytes(MAX_INPUT + 1))
    assert world.outcomes() == {1: Failed(OVERFED)}


def test_what_is_kept_for_waiting_runs_is_bounded() -> None:
    world = connected(1)
    waiting = range(2, 3 + MAX_KEPT // MAX_INPUT)
    ask(world, 1, *waiting)
    for sequence in waiting:
        types(world, sequence, bytes(MAX_INPUT))
    assert world.outcomes() == {waiting[-1]: Broken(FULL)}
    assert world.state.inputs.kept == MAX_KEPT


def test_input_for_nobody_is_nothing() -> None:
    world = connected(1)
    world.ask(1)
    for sequence in (1, 7):
        assert world.feed(e.InputArrived(sequence, b"a", True)) == []
    ask(world, 2)
    world.feed(e.CancelAsked(9, "task2", "enough"))
    assert world.feed(e.InputArrived(2, b"a", True)) == []


def test_a_link_that_goes_takes_its_input_along() -> None:
    world = connected(1)
    ask(world, 1, 2)
    types(world, 2, b"of the old link")
    world.feed(e.LinkLost("reset"))
    world.link = "none"
    world.connect()
    ask(world, 2)
    types(world, 2, b"new", end=True)
    assert world.typed[2] == b"new"


def test_what_came_is_told_as_used() -> None:
    world = connected(1)
    ask(world, 1)
    types(world, 1, b"four")
    world.slots[1].clear()
    (told,) = world.feed(e.RunsEnded(1, (Ended(1, Exited(0), 1.0, Usage(bytes_in=10)),)))
    assert isinstance(told, i.SendOutcome)
    assert told.ended is not None
    assert told.ended.usage == Usage(bytes_in=14)
