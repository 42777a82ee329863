"""Bounded concurrency: never more inputs taken, tasks running or results held than asked for."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from wasimoff.many import stream


class Gauge:
    """A `perform` that can be held back and that counts."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.gates: dict[int, asyncio.Event] = {}

    async def __call__(self, index: int, item: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if index in self.gates:
                await self.gates[index].wait()
            else:
                await asyncio.sleep(0)
            return item
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


async def test_results_come_as_they_are_done() -> None:
    gauge = Gauge()
    gauge.gates[0] = asyncio.Event()
    got: list[int] = []
    async for result in stream(range(5), gauge, 3):
        got.append(result)
        if len(got) == 4:
            gauge.gates[0].set()
    assert got[-1] == 0
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert gauge.most <= 3


async def test_ordered_results_wait_for_the_first_but_hold_a_bounded_number() -> None:
    gauge = Gauge()
    gauge.gates[0] = asyncio.Event()
    taken = 0

    def inputs() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = stream(inputs(), gauge, 4, ordered=True)
    first = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0.05)
    assert taken == 16
    gauge.gates[0].set()
    assert await first == 0
    assert [result async for result in results] == list(range(1, 1000))
    assert gauge.most <= 4


async def test_inputs_are_taken_only_when_there_is_room() -> None:
    gauge, taken = Gauge(), 0

    def inputs() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async with aclosing(stream(inputs(), gauge, 8)) as results:
        given = 0
        async for _ in results:
            given += 1
            await asyncio.sleep(0)
            assert taken - given <= 8
            if given == 500:
                break
    assert gauge.running == 0


async def test_a_slow_reader_holds_everything_back() -> None:
    gauge, taken = Gauge(), 0

    def inputs() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async with aclosing(stream(inputs(), gauge, 5)) as results:
        await anext(results)
        await asyncio.sleep(0.05)
        assert taken <= 6


async def test_leaving_early_cancels_what_runs() -> None:
    gauge = Gauge()
    gauge.gates = {n: asyncio.Event() for n in range(1, 10)}
    async with aclosing(stream(range(10), gauge, 10)) as results:
        assert await anext(results) == 0
    assert gauge.cancelled == 9
    assert gauge.running == 0


async def test_the_first_exception_ends_it_and_cancels_the_rest() -> None:
    cancelled = 0

    async def perform(index: int, item: int) -> int:
        nonlocal cancelled
        if item == 3:
            raise ValueError("three")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return item

    with pytest.raises(ValueError, match="three"):
        [_ async for _ in stream(range(5), perform, 10)]
    assert cancelled == 4


async def test_an_exception_of_the_inputs_is_the_callers() -> None:
    def inputs() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        [_ async for _ in stream(inputs(), Gauge(), 2)]


async def test_asynchronous_inputs() -> None:
    async def inputs() -> AsyncIterator[int]:
        for number in range(20):
            await asyncio.sleep(0)
            yield number

    assert sorted([_ async for _ in stream(inputs(), Gauge(), 3)]) == list(range(20))


async def test_nothing_gives_nothing() -> None:
    assert [_ async for _ in stream([], Gauge(), 3)] == []


async def test_memory_does_not_grow_with_the_number_of_tasks() -> None:
    asyncio.get_running_loop().set_debug(False)  # it keeps a stack of each task

    async def perform(index: int, item: bytes) -> bytes:
        return item

    async def peak(count: int) -> int:
        tracemalloc.start()
        async for _ in stream((bytes(10_000) for _ in range(count)), perform, 16):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    await peak(100)
    assert await peak(1500) < 2 * await peak(150)
