"""Many tasks, a bounded number at a time, results as they come. Pure asyncio: knows neither tasks nor brokers.

Memory: at most `in_flight` inputs and results are held (four times that when results are put in order).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Inputs = Iterable[T] | AsyncIterable[T]
REORDER = 4
"""How many times `in_flight` may be held when results are put in order."""


async def stream(
    inputs: Inputs[T], perform: Callable[[int, T], Awaitable[R]], in_flight: int, ordered: bool = False
) -> AsyncGenerator[R]:
    """The results of `perform(index, input)` in the order they are done, or of the inputs.

    Inputs are taken only when there is room. The first exception, of an input or of `perform`, ends it, as does
    closing it: everything that runs is then cancelled.
    """
    window = _Window(perform, in_flight, ordered)
    feeder = asyncio.create_task(window.feed(inputs), name="wasimoff inputs")
    feeder.add_done_callback(lambda _: window.wake.set())
    try:
        while True:
            while (done := window.take()) is not None:
                yield done.result()
            if feeder.done():
                feeder.result()
                if not window.running and not window.done:
                    return
            window.wake.clear()
            await window.wake.wait()
    finally:
        ending = [feeder, *window.running, *window.done.values()]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


class _Window(Generic[T, R]):
    """What runs, and what is done but not given out yet: `done`, by when it was done or by the input's index."""

    def __init__(self, perform: Callable[[int, T], Awaitable[R]], in_flight: int, ordered: bool) -> None:
        self._perform = perform
        self._ordered = ordered
        self._slots = asyncio.Semaphore(in_flight)
        self._room = asyncio.Semaphore(in_flight * (REORDER if ordered else 1))
        self._ended = 0
        self._given = 0
        self.wake = asyncio.Event()
        self.running: set[asyncio.Task[R]] = set()
        self.done: dict[int, asyncio.Task[R]] = {}

    async def feed(self, inputs: Inputs[T]) -> None:
        """Start one after the other; an input is taken when there is room for it, not before."""
        source = _each(inputs)
        for index in itertools.count():
            await self._room.acquire()
            await self._slots.acquire()
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            task = asyncio.create_task(self._run(index, item))
            self.running.add(task)
            task.add_done_callback(partial(self._end, index))

    async def _run(self, index: int, item: T) -> R:
        return await self._perform(index, item)

    def _end(self, index: int, task: asyncio.Task[R]) -> None:
        self.running.discard(task)
        self._slots.release()
        self.done[index if self._ordered else self._ended] = task
        self._ended += 1
        self.wake.set()

    def take(self) -> asyncio.Task[R] | None:
        """The one to give out now."""
        task = self.done.pop(self._given, None)
        if task is not None:
            self._given += 1
            self._room.release()
        return task


async def _each(inputs: Inputs[T]) -> AsyncIterator[T]:
    if isinstance(inputs, AsyncIterable):
        async for item in inputs:
            yield item
    else:
        for item in inputs:
            yield item
