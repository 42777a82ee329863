"""The asynchronous client. Imports aiohttp and this package; opens connections only when something is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from . import dial, status
from .address import broker_url
from .asking import Asking, denied
from .backoff import Patience
from .connect import error_of, read_bounded
from .errors import BrokerError, TaskTimeout, UsageError
from .following import Chunk
from .limits import NO_LIMITS, Limits
from .live import Live
from .many import Inputs, stream
from .result import Result
from .source import locate
from .storage import Progress
from .task import NO_ENV, NO_ROOTS, AnyTask, Source, Task

QUEUE_PATIENCE = 600.0
"""Seconds for which `run_many` goes on offering a task to a broker whose queue is full."""
MAX_DOWNLOAD = 2**30

TransportName = Literal["websocket", "http"]


class AsyncClient:
    """A wasimoff broker, from a coroutine::

        async with wasimoff.AsyncClient("http://localhost:4080") as client:
            result = await client.run("tsp.wasm", ["rand", "8"])
            print(result.text)

    `url`: the broker's; without one WASIMOFF_BROKER, BROKER or http://localhost:4080 is used. `transport`: "websocket"
    (one connection for everything) or "http" (a request for each task). `patience`: seconds for which a lost
    connection is tried to be made again; tasks that were on their way are then sent again. A first connection that
    fails, fails at once. `max_download`: bytes of one result that are fetched apart, because it is large. Raises what
    `wasimoff.errors` draws; a task that fails is a `Result` with an `error`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        transport: TransportName = "websocket",
        patience: float = 30.0,
        max_download: int = MAX_DOWNLOAD,
    ) -> None:
        if transport not in ("websocket", "http"):
            raise UsageError(f'transport is {transport!r}, it must be "websocket" or "http"')
        self.url = broker_url(url)
        self._transport_name = transport
        self._patience = patience
        self._max_download = max_download
        self._running: set[asyncio.Task[Result]] = set()
        self._opened: Asking | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<wasimoff.AsyncClient {self.url}>"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel what still runs (here and on the broker) and close the connection. May be called twice."""
        self._closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.transport.close()
            await opened.session.close()

    async def upload(
        self, source: str | os.PathLike[str] | bytes, name: str | None = None, progress: Progress | None = None
    ) -> str:
        """Store a file (wasm or zip), a folder (as a zip) or bytes; gives its ref, "sha256:…".

        `name`: an alias for it. `progress(sent, total)` is called with bytes. Nothing is sent when the broker has it.
        """
        local = locate(source)
        if isinstance(local, str):
            raise UsageError(f"there is no file {local!r} to upload")
        return await self._open().storage.upload(local, name, progress)

    async def run(
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
        timeout: float | None = None,  # noqa: ASYNC109  (the public name; what it means is more than a scope)
        trace: bool = False,
        program: str | None = None,
        follow: Callable[[Chunk], object] | None = None,
    ) -> Result:
        """Run a WASI program and wait for its end; the arguments are those of `Task`.

        `follow` is called with what the program writes while it runs, as the method of that name gives it.
        Cancelling the wait cancels the task. Raises TaskRejected, NotFound, TaskTimeout … when it was not run.
        """
        task = Task(
            binary, args, env=env or NO_ENV, stdin=stdin, rootfs=rootfs, roots=roots or NO_ROOTS, artifacts=artifacts,
            limits=limits, priority=priority, deadline=deadline, immediate=immediate, timeout=timeout, trace=trace,
            program=program,
        )  # fmt: skip
        if follow is None:
            return await self._perform(task)
        async with contextlib.aclosing(self.follow(task)) as items:
            async for item in items:
                if isinstance(item, Result):
                    return item
                follow(item)
        raise AssertionError("the last item is the Result")

    async def follow(self, task: AnyTask, stdin: AsyncIterable[bytes] | None = None) -> AsyncGenerator[Chunk | Result]:
        """What a task writes while it runs, and at the end its Result, which holds all of it as well.

        The chunks add up to the Result's streams. When one has another `attempt` than those before, the task was begun
        again, and what it wrote before is void. Where the broker can't tell, over HTTP too, all comes at the end. With
        `stdin` the task is interactive: what that gives is sent on after the task's own stdin, until it ends; such a task
        is never begun again. Leaving the loop cancels the task: at once if you use `contextlib.aclosing`.
        """
        live = Live(interactive=stdin is not None)
        if stdin is not None:
            await self._check_interactive()
        handle = self._hold(self._perform(task, live))
        handle.add_done_callback(lambda _: live.changed.set())
        talk = None if stdin is None else asyncio.create_task(live.talk(stdin), name="wasimoff stdin")
        try:
            while not handle.done():
                await live.changed.wait()
                live.changed.clear()
                while (chunk := live.following.take()) is not None:
                    yield chunk
                if talk is not None and talk.done():
                    talk.result()
            result = handle.result()
            if (chunk := live.following.rest(result)) is not None:
                yield chunk
            yield result
        finally:
            ending = [handle, *([talk] if talk else [])]
            for task_ in ending:
                task_.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _check_interactive(self) -> None:
        if self._transport_name != "websocket":
            raise UsageError('an interactive task needs transport="websocket"')
        if not await self._open().version.extension():
            raise BrokerError(f"the broker at {self.url} takes no interactive tasks", "unimplemented")

    def submit(self, task: AnyTask) -> asyncio.Task[Result]:
        """Start a task; gives a handle to await or `cancel()`, which cancels it on the broker too."""
        return self._hold(self._perform(task))

    def _hold(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        handle = asyncio.create_task(work)
        self._running.add(handle)
        handle.add_done_callback(self._running.discard)
        return handle

    def run_many(self, tasks: Inputs[AnyTask], in_flight: int = 64, ordered: bool = False) -> AsyncGenerator[Result]:
        """Run many tasks, `in_flight` at a time; results come as they are done, `Result.index` says whose each is.

        `tasks`: any iterable, also asynchronous, taken only as fast as tasks end. `ordered`: results come in the order
        of the tasks instead. Whatever becomes of one task is a Result, also when the broker refuses it (then with a
        `code`); while the broker's queue is full the task is offered again, for ten minutes at most. Leaving the loop
        early cancels what runs: at once if you use `contextlib.aclosing`, else when the iterator is collected.
        """
        if in_flight < 1:
            raise UsageError(f"in_flight is {in_flight}, it must be at least 1")
        return stream(tasks, self._perform_one_of_many, in_flight, ordered)

    async def status(self) -> status.Status:
        """The broker's providers, queue and counts now."""
        return status.parse(await self.status_document())

    async def status_document(self) -> Any:
        """The same as the broker's own JSON."""
        opened = self._open()
        with dial.in_words(self.url):
            async with opened.session.get(f"{self.url}/api/status", timeout=dial.SHORT) as response:
                body = await read_bounded(response, 64 * 2**20)
                if response.status != 200:
                    raise error_of(response, body)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BrokerError("the broker's status is not JSON: is the URL right?", "internal") from None

    # How one task is performed

    async def _perform(self, task: AnyTask, live: Live | None = None) -> Result:
        try:
            async with asyncio.timeout(task.timeout):
                return await self._open().perform(task, 0, Patience(self._patience), live=live)
        except TimeoutError:
            raise _timed_out(task) from None

    async def _perform_one_of_many(self, index: int, task: AnyTask) -> Result:
        """As `_perform`, but what concerns this task alone is a Result."""
        if not isinstance(task, AnyTask):
            raise UsageError(f"run_many takes Task objects, number {index} is a {type(task).__name__}")
        try:
            async with asyncio.timeout(task.timeout):
                return await self._open().perform(task, index, Patience(self._patience), Patience(QUEUE_PATIENCE))
        except TimeoutError:
            return denied(task, index, str(_timed_out(task)), "deadline_exceeded")
        except BrokerError as error:
            return denied(task, index, str(error), error.code)

    def _open(self) -> Asking:
        if self._closed:
            raise UsageError("this client is closed")
        if self._opened is None:
            self._opened = Asking(self.url, self._transport_name, self._patience, self._max_download)
        return self._opened


def _timed_out(task: AnyTask) -> TaskTimeout:
    return TaskTimeout(f"no answer within {task.timeout:g} s; the task was cancelled")
