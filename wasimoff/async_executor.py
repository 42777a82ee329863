"""Functions, called on other people's computers, from a coroutine. Imports the client, `calling` and `pickling`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar

from . import answers, pickling
from .answers import Trust
from .calling import Calling, Place, Work
from .client import AsyncClient, TransportName
from .errors import UsageError
from .limits import NO_LIMITS, Limits
from .many import stream
from .pickling import PYTHON, Shared
from .progress import Bar, bar
from .task import NO_ENV, Source

T = TypeVar("T")
Row = tuple[Any, ...]
Chunk = tuple[list[T], BaseException | None]


class AsyncExecutor:
    """Calls functions by way of a wasimoff broker, from a coroutine::

        async with wasimoff.AsyncExecutor("http://localhost:4080") as ex:
            print(await ex.submit(pow, 2, 10))
            async for value in ex.map(math.sqrt, range(1000), chunksize=50):
                print(value)

    The arguments are those of `Executor`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        packages: Sequence[str] = (),
        max_in_flight: int = 64,
        timeout: float | None = None,
        env: Mapping[str, str] = NO_ENV,
        rootfs: Source | None = None,
        limits: Limits = NO_LIMITS,
        network: bool = False,
        priority: bool = False,
        results: Iterable[type] = (),
        trust: bool = False,
        progress: bool = False,
        python: str = PYTHON,
        transport: TransportName = "websocket",
        patience: float = 30.0,
    ) -> None:
        place = Place(
            packages=packages, env=env, rootfs=rootfs, limits=limits, network=network, priority=priority, timeout=timeout,
            python=python,
        )  # fmt: skip
        self._client = AsyncClient(url, transport=transport, patience=patience)
        self._calling = Calling(self._client, place, Trust(trust, answers.classes(results)), max_in_flight)
        self._max_in_flight = max_in_flight
        self._bar: Bar = bar(progress)
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> AsyncExecutor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await asyncio.gather(*self._running, return_exceptions=True)
        await self.close()

    def __repr__(self) -> str:
        return f"<wasimoff.AsyncExecutor {self._client.url}: {'closed' if self._closed else self._calling.counts}>"

    async def close(self) -> None:
        """Cancel what still runs, and close the connection."""
        self._closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._calling.close()
        await self._client.close()
        self._bar.stop()

    def share(self, obj: Any) -> Shared:
        """A stand-in for an object in arguments: it is pickled now, sent once, and is the object again in the function."""
        return pickling.share(obj, self._calling.place.python)

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> asyncio.Task[T]:
        """Start a call; gives a task to await or cancel, which cancels it at the broker. Raises UsageError."""
        self._check_open()
        work, trust = self.work(function, [(args, kwargs)])
        self._bar.add(1)
        task: asyncio.Task[T] = asyncio.create_task(self._counted(work, trust))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def map(
        self,
        function: Callable[..., T],
        *iterables: Iterable[Any] | AsyncIterable[Any],
        chunksize: int = 1,
        ordered: bool = True,
    ) -> AsyncGenerator[T]:
        """The values of the calls with an item of each iterable, `chunksize` calls a task; as `Executor.map`.

        Inputs are taken only as fast as tasks end. `ordered=False`: values come as they are there.
        """
        check_chunksize(chunksize)
        chunks = _chunks(_rows(iterables), chunksize)
        async with aclosing(stream(chunks, self.rows(function), self._max_in_flight, ordered)) as answered:
            async for values, error in answered:
                for value in values:
                    yield value
                if error is not None:
                    raise error

    def rows(self, function: Callable[..., T]) -> Callable[[int, Sequence[Row]], Awaitable[Chunk[T]]]:
        """What calls a function with each of many rows of arguments, as one task: `many.stream` takes it.

        It gives the values up to the first that raised, and what that raised. Raises UsageError.
        """
        self._check_open()
        program = pickling.pack_function(function, self._calling.place.python)
        trust = self.trust_for(function)

        async def perform(_: int, rows: Sequence[Row]) -> Chunk[T]:
            calls = pickling.pack_calls(((row, {}) for row in rows), self._calling.place.python)
            self._bar.add(len(rows))
            values, error = await self._calling.values(Work(program, calls), trust)
            self._bar.done(len(values), 1 if error else 0)
            return values, error

        return perform

    def work(self, function: Callable[..., Any], calls: Sequence[pickling.Call]) -> tuple[Work, Trust]:
        """Pickle a function and its arguments. Raises UsageError."""
        python = self._calling.place.python
        packed = Work(pickling.pack_function(function, python), pickling.pack_calls(calls, python))
        return packed, self.trust_for(function)

    def trust_for(self, function: Callable[..., Any]) -> Trust:
        """What its answers may be made of: what was allowed, and what its return annotation names."""
        trust = self._calling.trust
        return Trust(trust.everything, trust.classes | answers.named_results(function))

    async def _counted(self, work: Work, trust: Trust) -> Any:
        failed = 1
        try:
            value = await self._calling.value(work, trust)
            failed = 0
            return value
        finally:
            self._bar.done(1 - failed, failed)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")


def check_chunksize(chunksize: int) -> None:
    if chunksize < 1:
        raise UsageError(f"chunksize is {chunksize}, it must be at least 1")


async def _rows(iterables: Sequence[Iterable[Any] | AsyncIterable[Any]]) -> AsyncIterator[tuple[Any, ...]]:
    """As `zip` does; some of the iterables may be asynchronous."""
    sources = [each.__aiter__() if isinstance(each, AsyncIterable) else iter(each) for each in iterables]
    while sources:
        row = []
        for source in sources:
            try:
                row.append(await anext(source) if isinstance(source, AsyncIterator) else next(source))
            except (StopAsyncIteration, StopIteration):
                return
        yield tuple(row)


async def _chunks(rows: AsyncIterator[tuple[Any, ...]], size: int) -> AsyncIterator[list[tuple[Any, ...]]]:
    chunk: list[tuple[Any, ...]] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def batches(rows: Iterable[tuple[Any, ...]], size: int) -> Iterable[list[tuple[Any, ...]]]:
    """Lists of `size` rows, the last one may be shorter; taken when asked for."""
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
