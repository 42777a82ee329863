"""`concurrent.futures` on other people's computers. Imports the clients, `calling` and `pickling`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from . import answers, pickling
from .answers import Trust
from .async_executor import batches, check_chunksize
from .calling import Calling, Place, Work
from .client import TransportName
from .errors import UsageError
from .limits import NO_LIMITS, Limits
from .pickling import PYTHON, Shared
from .progress import Bar, bar
from .sync import Client
from .task import NO_ENV, Source

T = TypeVar("T")
FullCall = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]
BUFFER = 4
"""How many times `max_in_flight` tasks `map` holds at most, when it is not told."""


class RemoteFuture(concurrent.futures.Future[T]):
    """A call on somebody's computer. `cancel()` works until it is done, also while it runs: it is ended at the broker."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._work: concurrent.futures.Future[T] | None = None
        self._sent = False

    def cancel(self) -> bool:
        """End it, wherever it is; whether that was in time."""
        if not super().cancel():
            return False
        if self._work is not None:
            self._work.cancel()
        return True

    def running(self) -> bool:
        """Whether it was sent and isn't done."""
        return self._sent and not self.done()

    def __repr__(self) -> str:
        if not self.done():
            return f"<RemoteFuture {self._name}: {'sent' if self._sent else 'waits to be sent'}>"
        if self.cancelled():
            return f"<RemoteFuture {self._name}: cancelled>"
        error = self.exception()
        return f"<RemoteFuture {self._name}: {f'raised {error!r}' if error else 'done'}>"

    def _follow(self, work: concurrent.futures.Future[T]) -> None:
        self._work = work
        work.add_done_callback(self._settle)

    def _settle(self, work: concurrent.futures.Future[T]) -> None:
        if work.cancelled():
            super().cancel()
        if not self.set_running_or_notify_cancel():
            return
        error = work.exception()
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(work.result())


class Executor(concurrent.futures.Executor):
    """Calls functions on the computers that are lent to a wasimoff broker::

        with wasimoff.Executor("http://localhost:4080") as ex:
            print(list(ex.map(f, range(1000), chunksize=20)))

    `url`: the broker's, as for `Client`. `packages`: what the functions import, as pip would name it. `max_in_flight`:
    tasks at the broker at a time. `timeout`: seconds for each task, waiting included. `env`, `rootfs` (a zip or folder,
    seen as /mnt), `limits`, `network`: what they find and may use there. `results`: classes that answers may hold besides
    plain data, `trust=True`: answers may hold, and do here, anything. `progress`: show a bar. `python`: the providers'.
    docs/python.md says more. Raises UsageError for what can't be sent, before anything is.
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
        self._place = Place(
            packages=packages, env=env, rootfs=rootfs, limits=limits, network=network, priority=priority, timeout=timeout,
            python=python,
        )  # fmt: skip
        self._trust = Trust(trust, answers.classes(results))
        self._max_workers = max_in_flight
        self._client = Client(url, transport=transport, patience=patience)
        try:
            self._calling = Calling(self._client._client, self._place, self._trust, max_in_flight)
        except UsageError:
            self._client.close()
            raise
        self._bar: Bar = bar(progress)
        self._lock = threading.Lock()
        self._open: set[RemoteFuture[Any]] = set()
        self._shut = False

    def __repr__(self) -> str:
        return f"<wasimoff.Executor {self._client.url}: {'shut down' if self._shut else self._calling.counts}>"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._cancel(list(self._open))  # Ctrl-C: nobody waits any more
        self.shutdown(wait=True)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> RemoteFuture[T]:
        """Start a call. Raises UsageError when it can't be sent, RuntimeError after `shutdown`."""
        program = pickling.pack_function(fn, self._place.python)
        calls = pickling.pack_calls([(args, kwargs)], self._place.python)
        work = Work(program, calls)
        return self._begin(pickling.called(fn), work, 1, self._calling.value(work, self._trust_for(fn)))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """The values of the calls with an item of each iterable, in order; `chunksize` calls go as one task.

        Inputs are taken as values are: at most `buffersize` tasks (4 times `max_in_flight`) are begun and not given out,
        so inputs may be without end. `timeout`: seconds from now until the last value, else TimeoutError. Values that
        come before the first exception are given out. Leaving the loop early cancels what runs.
        """
        check_chunksize(chunksize)
        if buffersize is not None and buffersize < 1:
            raise UsageError(f"buffersize is {buffersize}, it must be at least 1 or None")
        until = None if timeout is None else time.monotonic() + timeout
        name = pickling.called(fn)
        program = pickling.pack_function(fn, self._place.python)
        trust = self._trust_for(fn)

        def begin(rows: list[tuple[Any, ...]]) -> RemoteFuture[Chunk]:
            work = Work(program, pickling.pack_calls([(row, {}) for row in rows], self._place.python))
            return self._begin(name, work, len(rows), self._calling.values(work, trust))

        chunks = map(begin, batches(zip(*iterables, strict=False), chunksize))
        return _Values(chunks, buffersize or BUFFER * self._max_workers, until)

    def submit_batch(self, calls: Iterable[FullCall]) -> RemoteFuture[list[Any]]:
        """Several calls, (function, args, kwargs) each, as one task; its value is the list of theirs. Raises UsageError."""
        listed = list(calls)
        classes = self._trust.classes
        for function, _, _ in listed:
            pickling.check_function(function)
            classes |= answers.named_results(function)
        program = pickling.pack_function(operator.call, self._place.python)
        python = self._place.python
        work = Work(program, pickling.pack_calls([((fn, *args), kwargs) for fn, args, kwargs in listed], python))
        name = pickling.called(listed[0][0]) if listed else "nothing"
        return self._begin(name, work, len(listed), self._all(work, Trust(self._trust.everything, classes)))

    def share(self, obj: Any) -> Shared:
        """A stand-in for an object in arguments: it is pickled now, sent once, and is the object again in the function."""
        return pickling.share(obj, self._place.python)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those begun, or with `cancel_futures` those sent. Without `wait` they go on."""
        with self._lock:
            self._shut = True
            pending = list(self._open)
        if cancel_futures:
            self._cancel([future for future in pending if not future.running()])
        if wait:
            concurrent.futures.wait(pending)
        self._close_if_done()

    async def _all(self, work: Work, trust: Trust) -> list[Any]:
        values, error = await self._calling.values(work, trust)
        if error is not None:
            raise error
        return values

    def _cancel(self, futures: Iterable[RemoteFuture[Any]]) -> None:
        for future in futures:
            future.cancel()

    def _begin(self, name: str, work: Work, calls: int, coroutine: Coroutine[Any, Any, T]) -> RemoteFuture[T]:
        future = RemoteFuture[T](name)
        work.started = partial(setattr, future, "_sent", True)
        with self._lock:
            if self._shut:
                coroutine.close()
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._open.add(future)
        self._bar.add(calls)
        future.add_done_callback(partial(self._ended, calls))
        try:
            future._follow(self._client._start(coroutine))
        except UsageError:
            future.cancel()  # nobody waits for what never began
            raise
        return future

    def _ended(self, calls: int, future: concurrent.futures.Future[Any]) -> None:
        failed = 1 if future.cancelled() or future.exception() is not None else 0
        self._bar.done(calls - failed, failed)
        with self._lock:
            self._open.discard(future)
        if self._shut:
            self._close_if_done()

    def _close_if_done(self) -> None:
        with self._lock:
            if self._open:
                return
        self._bar.stop()
        self._client.close()

    def _trust_for(self, function: Callable[..., Any]) -> Trust:
        return Trust(self._trust.everything, self._trust.classes | answers.named_results(function))


Chunk = tuple[list[Any], BaseException | None]


class _Values(Iterator[Any]):
    """The values of chunks in their order; a bounded number of chunks is begun ahead."""

    def __init__(self, chunks: Iterator[RemoteFuture[Chunk]], ahead: int, until: float | None) -> None:
        self._chunks = chunks
        self._ahead = ahead
        self._until = until
        self._begun: deque[RemoteFuture[Chunk]] = deque()
        self._values: deque[Any] = deque()
        self._error: BaseException | None = None
        self._begin_more()

    def __next__(self) -> Any:
        while not self._values:
            if self._error is not None:
                self.close()
                error, self._error = self._error, None
                raise error
            if not self._begun:
                raise StopIteration
            self._take()
        return self._values.popleft()

    def close(self) -> None:
        """Cancel what was begun."""
        self._chunks = iter(())
        while self._begun:
            self._begun.pop().cancel()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()

    def _take(self) -> None:
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        try:
            values, self._error = self._begun[0].result(left)
            self._begun.popleft()
            self._values.extend(values)
            if self._error is None:
                self._begin_more()
        except BaseException:
            self.close()
            raise

    def _begin_more(self) -> None:
        try:
            while len(self._begun) < self._ahead:
                future = next(self._chunks, None)
                if future is None:
                    return
                self._begun.append(future)
        except BaseException:
            self.close()
            raise
