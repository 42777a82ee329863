"""The synchronous client: the asynchronous one on an event loop in a thread of its own. Imports `client`.

Because of the thread it works anywhere, also where a loop runs already (Jupyter).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from .client import MAX_DOWNLOAD, AsyncClient, TransportName
from .errors import UsageError
from .following import Chunk
from .limits import NO_LIMITS, Limits
from .live import pieces
from .many import REORDER
from .result import Result
from .status import Status
from .storage import Progress
from .task import NO_ENV, NO_ROOTS, AnyTask, Source, Task

T = TypeVar("T")

CLOSED = "this client is closed"
ENDING = 5.0
"""Seconds that what still runs may take to end when the client is closed."""


class Client:
    """A wasimoff broker, from plain code::

        with wasimoff.Client("http://localhost:4080") as client:
            result = client.run("tsp.wasm", ["rand", "8"])
            print(result.text)

    Arguments, methods and errors are those of `AsyncClient`. May be used from several threads at once.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        transport: TransportName = "websocket",
        patience: float = 30.0,
        max_download: int = MAX_DOWNLOAD,
    ) -> None:
        self._client = AsyncClient(url, transport=transport, patience=patience, max_download=max_download)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_turn, args=(self._loop,), name="wasimoff", daemon=True)
        self._thread.start()
        self._process = os.getpid()
        self._finish = weakref.finalize(self, _finish, self._client, self._loop, self._thread, self._process)

    @property
    def url(self) -> str:
        """The broker's."""
        return self._client.url

    def __repr__(self) -> str:
        return f"<wasimoff.Client {self.url}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what still runs (here and on the broker), close the connection, end the thread. May be called twice."""
        self._finish()

    def upload(self, source: str | os.PathLike[str] | bytes, name: str | None = None, progress: Progress | None = None) -> str:
        """Store a file (wasm or zip), a folder (as a zip) or bytes; gives its ref, "sha256:…".

        `name`: an alias for it. `progress(sent, total)` is called with bytes, on another thread.
        """
        return self._wait(self._client.upload(source, name, progress))

    def run(
        self,
        binary: Source,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | os.PathLike[str] = b"",
        rootfs: Source | None = None,
        roots: Mapping[str, Source] | None = None,
        artifacts: Sequence[str] = (),
        limits: Limits = NO_LIMITS,
        priority: bool = False,
        deadline: float | None = None,
        immediate: bool = False,
        timeout: float | None = None,
        trace: bool = False,
        program: str | None = None,
        follow: Callable[[Chunk], object] | None = None,
    ) -> Result:
        """Run a WASI program and wait for its end; the arguments are those of `Task`. Ctrl-C cancels the task.

        `follow` is called, on this thread, with what the program writes while it runs.
        """
        task = Task(
            binary, args, env=env or NO_ENV, stdin=stdin, rootfs=rootfs, roots=roots or NO_ROOTS, artifacts=artifacts,
            limits=limits, priority=priority, deadline=deadline, immediate=immediate, timeout=timeout, trace=trace,
            program=program,
        )  # fmt: skip
        if follow is None:
            return self._wait(self._client._perform(task))
        with contextlib.closing(self.follow(task)) as items:
            for item in items:
                if isinstance(item, Result):
                    return item
                follow(item)
        raise AssertionError("the last item is the Result")

    def follow(self, task: AnyTask, stdin: Iterable[bytes] | None = None) -> Generator[Chunk | Result]:
        """What a task writes while it runs, and at the end its Result, as `AsyncClient.follow` says.

        `stdin` is taken on another thread. Leaving the loop cancels the task.
        """
        given = None if stdin is None else iter(stdin)
        items = self._client.follow(task, None if given is None else pieces(lambda: next(filter(None, given), b"")))
        try:
            while (item := self._wait(_next(items))) is not None:
                yield item
        finally:
            if self._finish.alive:
                self._wait(items.aclose())

    def submit(self, task: AnyTask) -> Future[Result]:
        """Start a task; gives a `concurrent.futures.Future`, whose `cancel()` cancels it on the broker too."""
        return self._start(self._client._perform(task))

    def run_many(self, tasks: Iterable[AnyTask], in_flight: int = 64, ordered: bool = False) -> Iterator[Result]:
        """Run many tasks, `in_flight` at a time; results come as they are done, as `AsyncClient.run_many` says.

        `tasks` is taken on this thread, only as fast as results are. Leaving the loop early cancels what runs.
        """
        if in_flight < 1:
            raise UsageError(f"in_flight is {in_flight}, it must be at least 1")
        return self._many(iter(tasks), in_flight, ordered)

    def status(self) -> Status:
        """The broker's providers, queue and counts now."""
        return self._wait(self._client.status())

    def _many(self, tasks: Iterator[AnyTask], in_flight: int, ordered: bool) -> Iterator[Result]:
        window = _Window(ordered)
        most = in_flight * REORDER if ordered else in_flight
        try:
            while True:
                while len(window.running) < in_flight and window.held < most and (task := next(tasks, None)) is not None:
                    window.add(self._start(self._client._perform_one_of_many(window.started, task)))
                if not window.held:
                    return
                if (result := window.take()) is not None:
                    yield result
        finally:
            for future in window.running.values():
                future.cancel()

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if not self._finish.alive or os.getpid() != self._process:
            work.close()
            forked = "this client was made before a fork: make another one in each process"
            raise UsageError(forked if self._finish.alive else CLOSED)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._start(work)
        try:
            return future.result()
        except CancelledError:
            # Nobody but `close` cancels what a thread waits for.
            raise UsageError(CLOSED) from None
        finally:
            future.cancel()


class _Window:
    """What runs, and what is done but not given out yet: `ready`, by when it was done or by the task's index."""

    def __init__(self, ordered: bool) -> None:
        self.running: dict[int, Future[Result]] = {}
        self.started = 0
        self._ordered = ordered
        self._given = 0
        self._ended = 0
        self._ready: dict[int, Future[Result]] = {}
        self._done: SimpleQueue[int] = SimpleQueue()

    @property
    def held(self) -> int:
        """How many are started and not given out."""
        return self.started - self._given

    def add(self, future: Future[Result]) -> None:
        index = self.started
        self.started += 1
        self.running[index] = future
        future.add_done_callback(lambda _: self._done.put(index))

    def take(self) -> Result | None:
        """The result to give out now; when there is none, waits for one to end and gives None."""
        future = self._ready.pop(self._given, None)
        if future is None:
            self._note(self._done.get())
            while not self._done.empty():
                self._note(self._done.get())
            return None
        self._given += 1
        try:
            return future.result()
        except CancelledError:
            raise UsageError(CLOSED) from None

    def _note(self, index: int) -> None:
        self._ready[index if self._ordered else self._ended] = self.running.pop(index)
        self._ended += 1


async def _next(items: AsyncGenerator[Chunk | Result]) -> Chunk | Result | None:
    return await anext(items, None)


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _close(client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
    try:
        await client.close()
    finally:
        # Threads wait for these, maybe for an answer that never comes.
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=ENDING)
        loop.stop()


def _finish(client: AsyncClient, loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    """Runs once, at `close`, when the Client is collected (on any thread) or when the interpreter ends."""
    if os.getpid() != process:
        return  # a fork of who made it: the thread is not here
    asyncio.run_coroutine_threadsafe(_close(client, loop), loop)
    if threading.current_thread() is not thread:
        thread.join(10)
