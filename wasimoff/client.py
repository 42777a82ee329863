"""The asynchronous client. Imports aiohttp and this package; opens connections only when something is asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import aiohttp
from google.protobuf.message import Message

from . import dial, messages, status
from .address import broker_url
from .backoff import Patience
from .connect import ConnectLink, error_of, read_bounded
from .errors import BrokerError, QueueFull, TaskRejected, TaskTimeout, UsageError
from .files import Files
from .limits import NO_LIMITS, Limits
from .many import Inputs, stream
from .result import Result
from .source import locate
from .storage import Progress, Storage
from .task import NO_ENV, NO_ROOTS, AnyTask, PythonTask, Source, Task
from .transport import Transport
from .websocket import WebSocketLink

REFUSALS = frozenset({"invalid_argument", "not_found", "unauthenticated", "permission_denied", "resource_exhausted"})
"""Codes of tasks that were not taken; any other code is how a task ended."""
QUEUE_PATIENCE = 600.0
"""Seconds for which `run_many` goes on offering a task to a broker whose queue is full."""

TransportName = Literal["websocket", "http"]


class AsyncClient:
    """A wasimoff broker, from a coroutine::

        async with wasimoff.AsyncClient("http://localhost:4080") as client:
            result = await client.run("tsp.wasm", ["rand", "8"])
            print(result.text)

    `url`: the broker's; without one WASIMOFF_BROKER, BROKER or http://localhost:4080 is used. `transport`: "websocket"
    (one connection for everything) or "http" (a request for each task). `patience`: seconds for which a lost
    connection is tried to be made again; tasks that were on their way are then sent again. A first connection that
    fails, fails at once. Raises what `wasimoff.errors` draws; a task that fails is a `Result` with an `error`.
    """

    def __init__(self, url: str | None = None, *, transport: TransportName = "websocket", patience: float = 30.0) -> None:
        if transport not in ("websocket", "http"):
            raise UsageError(f'transport is {transport!r}, it must be "websocket" or "http"')
        self.url = broker_url(url)
        self._transport_name = transport
        self._patience = patience
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._running: set[asyncio.Task[Result]] = set()
        self._opened: _Opened | None = None
        self._closed = False

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
        stdin: bytes = b"",
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
    ) -> Result:
        """Run a WASI program and wait for its end; the arguments are those of `Task`.

        Cancelling the wait cancels the task. Raises TaskRejected, NotFound, TaskTimeout … when it was not run.
        """
        task = Task(
            binary, args, env=env or NO_ENV, stdin=stdin, rootfs=rootfs, roots=roots or NO_ROOTS, artifacts=artifacts,
            limits=limits, priority=priority, deadline=deadline, immediate=immediate, timeout=timeout, trace=trace,
            program=program,
        )  # fmt: skip
        return await self._perform(task)

    def submit(self, task: AnyTask) -> asyncio.Task[Result]:
        """Start a task; gives a handle to await or `cancel()`, which cancels it on the broker too."""
        handle = asyncio.create_task(self._perform(task))
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

    async def _perform(self, task: AnyTask) -> Result:
        try:
            async with asyncio.timeout(task.timeout):
                return await self._attempt(task, 0, patience=Patience(self._patience), queue=None)
        except TimeoutError:
            raise _timed_out(task) from None

    async def _perform_one_of_many(self, index: int, task: AnyTask) -> Result:
        """As `_perform`, but what concerns this task alone is a Result."""
        if not isinstance(task, AnyTask):
            raise UsageError(f"run_many takes Task objects, number {index} is a {type(task).__name__}")
        try:
            async with asyncio.timeout(task.timeout):
                return await self._attempt(task, index, Patience(self._patience), Patience(QUEUE_PATIENCE))
        except TimeoutError:
            return _denied(task, index, str(_timed_out(task)), "deadline_exceeded")
        except BrokerError as error:
            return _denied(task, index, str(error), error.code)

    async def _attempt(self, task: AnyTask, index: int, patience: Patience, queue: Patience | None) -> Result:
        """Ask the broker, again when it says so: `queue` is the patience with a full queue."""
        id = f"{self._prefix}-{next(self._numbers)}"
        opened = self._open()
        request = await self._request(opened, task, id)
        uploaded_again = False
        now = asyncio.get_running_loop().time
        started = now()
        while True:
            try:
                response = await opened.transport.call(request, id)
                return messages.result(response, index, task.label, now() - started)
            except BrokerError as error:
                if error.code == "not_found" and not uploaded_again and _forget(opened.files, task):
                    uploaded_again = True
                    request = await self._request(opened, task, id)
                    continue
                pause = self._pause(error, task, patience, queue)
                if pause is None:
                    if error.code in REFUSALS or _is_refusal(error, task):
                        raise
                    return _denied(task, index, str(error), error.code, id)
            await asyncio.sleep(pause)

    def _pause(self, error: BrokerError, task: AnyTask, patience: Patience, queue: Patience | None) -> float | None:
        """Seconds after which to ask again; None: don't."""
        limit = queue if isinstance(error, QueueFull) else patience
        if limit is None or task.immediate or not isinstance(error, TaskRejected):
            return None
        if error.retry_after is None:
            return None
        pause = limit.pause(asyncio.get_running_loop().time())
        return None if pause is None else max(pause, min(error.retry_after, 30.0) * random.uniform(0.5, 1.0))

    async def _request(self, opened: _Opened, task: AnyTask, id: str) -> Message:
        ref = opened.files.ref
        rootfs = "" if task.rootfs is None else await ref(task.rootfs)
        if isinstance(task, PythonTask):
            return messages.request(task, id, messages.Refs(rootfs=rootfs))
        binary = await ref(task.binary)
        roots = [(path, await ref(source)) for path, source in task.roots.items()]
        return messages.request(task, id, messages.Refs(binary, rootfs, roots))

    def _open(self) -> _Opened:
        if self._closed:
            raise UsageError("this client is closed")
        if self._opened is None:
            self._opened = _Opened(self.url, self._transport_name, self._patience)
        return self._opened


class _Opened:
    """What lives on the event loop."""

    def __init__(self, url: str, transport: TransportName, patience: float) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=256),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
        )
        link = WebSocketLink if transport == "websocket" else ConnectLink
        self.transport: Transport = link(self.session, url, patience)
        self.storage = Storage(self.session, url)
        self.files = Files(self.storage)


def _forget(files: Files, task: AnyTask) -> bool:
    """Whether some file of the task is ours to upload again."""
    own = [] if isinstance(task, PythonTask) else [task.binary, *task.roots.values()]
    forgotten = [files.forget(source) for source in (*own, task.rootfs)]
    return any(forgotten)


def _is_refusal(error: BrokerError, task: AnyTask) -> bool:
    """Unavailable is a refusal when nobody was free for an immediate task; else the task was lost too often."""
    return isinstance(error, TaskRejected) and (task.immediate or error.retry_after is not None)


def _denied(task: AnyTask, index: int, error: str, code: str, id: str = "") -> Result:
    return Result(None, error=error, code=code, task=id, index=index, label=task.label)


def _timed_out(task: AnyTask) -> TaskTimeout:
    return TaskTimeout(f"no answer within {task.timeout:g} s; the task was cancelled")
