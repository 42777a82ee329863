"""Programs with threads on real slots: which slots are replaced, what is counted, polls of clocks. More: the contract."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import pytest

from pyodide_provider.core.events import RunsEnded, SlotSpent
from pyodide_provider.core.run import Exited, Failed, Limits
from pyodide_provider.native.polls import EVENT, SUBSCRIPTION, Memory, Poll, read_poll, write_events
from tests.contract.thread_programs import BOMB, threaded, times

from .rig import params, rig, worker_of

ROUNDS = 10
STARTED = "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1))"
TIDY = threaded("(call $signal (i32.const 4))", STARTED)
LEAVES_ONE = threaded("(call $signal (i32.const 4)) (call $spin)", STARTED)
WRITES_ON = threaded("(loop $l (call $signal (i32.const 4)) (call $say (i32.const 97)) (br $l))", STARTED)


async def test_a_slot_whose_threads_have_ended_goes_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as slots:
        await slots.start()
        worker = worker_of(slots)
        for _ in range(ROUNDS):
            assert await slots.run(params(TIDY)) == Exited(0)
        assert worker_of(slots) == worker


@pytest.mark.parametrize("program", [LEAVES_ONE, WRITES_ON], ids=["spins", "writes"])
async def test_what_is_left_does_not_matter(tmp_path: Path, program: bytes) -> None:
    async with rig(tmp_path) as slots:
        await slots.start()
        for _ in range(3):
            outcome = await slots.run(params(program))
            assert isinstance(outcome, Exited), outcome
            assert outcome.status == 0
            assert outcome.stdout in {b"", *(b"a\n" * count for count in range(1, 1 + len(outcome.stdout) // 2))}


async def test_a_slot_says_that_it_is_spent_once_it_has_answered(tmp_path: Path) -> None:
    async with rig(tmp_path) as slots:
        await slots.start()
        slots.post(1, params(LEAVES_ONE), params(TIDY))
        await slots.until(lambda event: isinstance(event, SlotSpent))
        (ended,) = [event for event in slots.events if isinstance(event, RunsEnded)]
        assert [end.outcome for end in ended.ended] == [Exited(0)]


async def test_a_fork_is_stopped_ten_times_in_a_row(tmp_path: Path) -> None:
    async with rig(tmp_path) as slots:
        await slots.start()
        for _ in range(ROUNDS):
            assert await slots.run(params(BOMB)) == Failed("threads limit exceeded: more than 64")
            assert await slots.run(params(TIDY)) == Exited(0)


async def test_no_more_threads_than_there_may_ever_be(tmp_path: Path) -> None:
    async with rig(tmp_path) as slots:
        await slots.start()
        assert await slots.run(params(BOMB, limits=Limits(threads=10_000))) == Failed("threads limit exceeded: more than 256")


async def test_usage_is_of_all_threads(tmp_path: Path) -> None:
    count = (
        "(local.set $id (i32.const 200_000_000)) (loop $c (br_if $c (local.tee $id (i32.sub (local.get $id) (i32.const 1)))))"
    )
    used = []
    async with rig(tmp_path) as slots:
        await slots.start()
        for threads in (1, 4):
            start = f"{times(threads, '(call $start (i32.const 0))')} (call $await (i32.const 4) (i32.const {threads}))"
            slots.post(1, params(threaded(f"{count} (call $signal (i32.const 4))", start)))
            (end,) = await slots.ended(1, 1)
            assert end.outcome == Exited(0)
            assert end.usage is not None
            assert end.usage.memory == 2 * 65536
            used.append(end.usage.cpu)
    assert used[1] > 2 * used[0] > 0


async def test_a_poll_of_very_much_is_refused(tmp_path: Path) -> None:
    """It would be copied."""
    poll = "(call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const {count}) (i32.const 0))"
    large = '(import "env" "memory" (memory 1000 1000 shared)) (export "memory" (memory 0))'
    async with rig(tmp_path) as slots:
        await slots.start()
        for count, errno in ((65_537, 28), (1_000_000, 28), (65_536, 0)):
            program = threaded("", f"(call $proc_exit {poll.format(count=count)})", memory=large)
            assert await slots.run(params(program)) == Exited(errno)


def memory_of(data: ctypes.Array[ctypes.c_char]) -> Memory:
    return Memory(ctypes.addressof(data), lambda: len(data))


def clock(userdata: int, timeout: int, flags: int = 0, id: int = 1, tag: int = 0) -> bytes:
    return SUBSCRIPTION.pack(userdata, tag, id, timeout, 0, flags)


def test_when_clocks_are_due() -> None:
    asked = [
        clock(1, 500),
        clock(2, 700, flags=1),
        clock(3, time.time_ns() + 10**18, flags=1, id=0),
        clock(4, 2**64 - 1),
        clock(5, 0, id=7, tag=1),
    ]
    memory = memory_of(ctypes.create_string_buffer(b"".join(asked), 5 * 48))
    poll = read_poll(memory, 0, 5, lambda: 1000, stdin=7)
    assert poll is not None
    assert poll.clocks[:2] == [(1, 1500), (2, 700)]
    assert abs(poll.clocks[2][1] - 10**18) < 10**11
    assert poll.clocks[3] == (4, 2**64 + 999)
    assert poll.stdin == [5]
    assert poll.due == 700


@pytest.mark.parametrize(
    ("at", "count", "asked"),
    [
        (0, 0, clock(1, 5)),
        (0, 2, clock(1, 5)),
        (4, 1, clock(1, 5) + bytes(8)),
        (0, 2**32 - 1, clock(1, 5)),
        (2**32 - 8, 1, clock(1, 5)),
        (0, 1, clock(1, 5, id=2)),
        (0, 1, clock(1, 5, flags=2)),
        (0, 1, clock(1, 5, tag=1)),
        (0, 2, clock(1, 5) + clock(1, 5, tag=2)),
    ],
)
def test_what_is_for_wasmtime(at: int, count: int, asked: bytes) -> None:
    assert read_poll(memory_of(ctypes.create_string_buffer(asked, len(asked))), at, count, lambda: 1000) is None


def test_events_are_written_where_there_is_room() -> None:
    data = ctypes.create_string_buffer(b"\xff" * 80, 80)
    memory = memory_of(data)
    both, one = Poll([(5, 10), (6, 11)], [7]), Poll([(5, 10)], [])
    assert write_events(memory, 8, 72, both, 10, True)
    assert data.raw[8:76] == EVENT.pack(5, 0, 0, 0) + EVENT.pack(7, 0, 1, 1) + b"\2\0\0\0"
    assert data.raw[:8] + data.raw[76:] == b"\xff" * 12
    assert not write_events(memory, 24, 0, both, 11, False)
    assert not write_events(memory, 0, 78, one, 10, False)
    assert not write_events(memory, 4, 72, one, 10, False)
