"""Calls of functions, performed by a broker's providers, a bounded number at a time. Imports the client, `pickling`, `answers`.

Lives on the client's event loop; both executors are made of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import answers
from .answers import Answer, Trust
from .client import AsyncClient
from .errors import TaskFailed, TaskTimeout, UsageError
from .limits import NO_LIMITS, Limits
from .pickling import PYTHON, Packed, payload
from .result import Result
from .task import NO_ENV, PythonTask, Source

KNOWN = 4096
"""Blobs that are remembered to be at the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What functions find where they run, and how much of it they may use."""

    packages: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=lambda: NO_ENV)
    rootfs: Source | None = None
    limits: Limits = NO_LIMITS
    network: bool = False
    priority: bool = False
    timeout: float | None = None
    python: str = PYTHON

    def __post_init__(self) -> None:
        if isinstance(self.packages, str):
            raise UsageError(f"packages is {self.packages!r}, it must be a list: [{self.packages!r}]")
        self.task(b"", (), False)  # says what is wrong before anything is sent

    def task(self, pickle: bytes, shared: Sequence[str], bytecode: bool) -> PythonTask:
        return PythonTask(
            pickle=pickle, packages=self.packages, shared=shared, python=self.python if bytecode else "", env=self.env,
            rootfs=self.rootfs, limits=self.limits, network=self.network, priority=self.priority, deadline=self.timeout,
        )  # fmt: skip


@dataclass(slots=True)
class Work:
    """Calls of one function that go as one task."""

    program: Packed
    calls: Packed
    started: Callable[[], object] = lambda: None
    """Told when it is sent."""

    @property
    def own(self) -> dict[str, Any]:
        return self.program.own | self.calls.own


@dataclass(slots=True)
class Counts:
    """Of tasks."""

    waiting: int = 0
    in_flight: int = 0
    done: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.in_flight} in flight, {self.waiting} waiting, {self.done} done, {self.failed} failed"


class Calling:
    """Performs work by way of a client, `max_in_flight` tasks at a time."""

    def __init__(self, client: AsyncClient, place: Place, trust: Trust, max_in_flight: int) -> None:
        if max_in_flight < 1:
            raise UsageError(f"max_in_flight is {max_in_flight}, it must be at least 1")
        self.counts = Counts()
        self.place = place
        self.trust = trust
        self._client = client
        self._room = asyncio.Semaphore(max_in_flight)
        self._stored: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    async def perform(self, work: Work) -> Answer:
        """The values of the calls, pickled still, and what the first raised that did.

        Raises TaskFailed when it came to no answer, TaskTimeout, UntrustedResult, BrokerUnavailable.
        """
        self.counts.waiting += 1
        try:
            await self._room.acquire()
        finally:
            self.counts.waiting -= 1
        self.counts.in_flight += 1
        ok = False
        try:
            work.started()
            answer = await self._ask(work)
            ok = answer.error is None
            return answer
        finally:
            self._room.release()
            self.counts.in_flight -= 1
            self.counts.done += ok
            self.counts.failed += not ok

    async def value(self, work: Work, trust: Trust) -> Any:
        """The value of a single call; raises what it raised."""
        answer = await self.perform(work)
        if answer.error is not None:
            raise answer.error
        return await asyncio.to_thread(answers.load, answer.values[0], work.own, trust)

    async def values(self, work: Work, trust: Trust) -> tuple[list[Any], BaseException | None]:
        """The values of the calls up to the one that raised, and what that raised."""
        answer = await self.perform(work)
        return await asyncio.to_thread(_load, answer.values, work.own, trust), answer.error

    async def _ask(self, work: Work) -> Answer:
        pickle, shared = await asyncio.to_thread(payload, work.program, work.calls)
        task = self.place.task(pickle, list(shared), work.program.bytecode or work.calls.bytecode)
        await self._store(shared)
        result = await self._client._perform_one_of_many(0, task)
        if result.code == "not_found" and shared:
            self._forget(shared)
            await self._store(shared)
            result = await self._client._perform_one_of_many(0, task)
        if not result.ok:
            raise _failure(result)
        return await asyncio.to_thread(answers.read, result.pickle or b"", work.own, self.trust)

    # Blobs

    async def _store(self, shared: Mapping[str, bytes]) -> None:
        """Have the broker keep what is shared; each blob is sent once, however many tasks want it at a time."""
        for ref, blob in shared.items():
            if ref not in self._stored:
                self._stored[ref] = asyncio.create_task(self._client._open().storage.upload(blob, data=True))
                if len(self._stored) > KNOWN:
                    self._stored.popitem(last=False)
            self._stored.move_to_end(ref)
        for ref in shared:
            sending = self._stored.get(ref)
            if sending is None:
                continue
            try:
                await asyncio.shield(sending)
            except BaseException:
                if sending.done():
                    self._forget([ref])
                raise

    def _forget(self, refs: Mapping[str, bytes] | Sequence[str]) -> None:
        for ref in refs:
            self._stored.pop(ref, None)

    async def close(self) -> None:
        sending = [task for task in self._stored.values() if not task.done()]
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def _load(values: list[bytes], own: Mapping[str, Any], trust: Trust) -> list[Any]:
    return [answers.load(value, own, trust) for value in values]


def _failure(result: Result) -> TaskFailed | TaskTimeout:
    if result.code == "deadline_exceeded":
        return TaskTimeout(result.why)
    return TaskFailed(result.why, result)
