"""The interpreters for Python tasks, by slot: each task gets a fresh one, which ends with it.

To be used from within a running loop.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ...core.events import Event, OutputWritten, RunBegan, RunsEnded
from ...core.run import NO_LIMITS, Broken, Ended, Failed, File, Limits, PythonParams, Run
from ...core.spares import IDLE, PLAIN, Kit, Spares, kit_of
from ...errors import HostFault, TaskFault, UsageError
from ..blob_cache import BlobCache
from ..storage import Storage
from . import baking, messages, pieces
from .interpreter import Interpreter
from .node import Launcher, Node
from .packages import Files, Packages


@dataclass(frozen=True, slots=True)
class Settings:
    base: str
    """The broker's address, without a slash at its end."""
    cache: BlobCache
    output: int
    files: int
    workers: int


class Interpreters:
    """What `slots.py` hands Python runs to; `feed` gets what they say."""

    def __init__(self, node: Node, settings: Settings) -> None:
        """Raises UsageError when this machine has no fence for them."""
        self.feed: Callable[[Event], None] = _nobody
        self.node = node
        self._launcher = Launcher(node)
        self._settings = settings
        self._storage = Storage(f"{settings.base}/api/storage", settings.cache)
        self._packages = Packages(settings.base, self._storage)
        self._pieces: pieces.Pieces | None = None
        self._spares = Spares(settings.workers)
        self._waiting: dict[int, Interpreter] = {}
        self._numbers = itertools.count()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._tired: asyncio.TimerHandle | None = None

    async def prepare(self) -> bool:
        """Fetch what the broker offers, unless we have it, and try it. Gives whether it was new. Raises UsageError."""
        base = self._settings.base
        found = await asyncio.to_thread(pieces.offered, base)
        if self._pieces is not None and self._pieces.refs == pieces.refs_of(found):
            return False
        fresh = await asyncio.to_thread(pieces.load, base, found, self._storage)
        try:
            await self._try(fresh)
        except HostFault as fault:
            raise UsageError(str(fault)) from None
        self._pieces = fresh
        self._rest()
        return True

    async def _try(self, fresh: pieces.Pieces) -> None:
        """See that Python starts; have compiled what all have compiled, if that can be. Raises HostFault."""
        baker = Interpreter(self._launcher, fresh, options=baking.OPTIONS)
        try:
            await baker.ready()
            baked = await baker.bake()
        except HostFault:
            baked = None
        finally:
            self._end(baker)
        if baked is not None:
            await asyncio.to_thread(fresh.bake, baked)
            with suppress(HostFault):
                return await self._start_one(fresh)
            fresh.unbake()
        await self._start_one(fresh)

    async def _start_one(self, fresh: pieces.Pieces) -> None:
        trial = Interpreter(self._launcher, fresh)
        try:
            await trial.ready()
        finally:
            self._end(trial)

    def post(self, slot: int, run: Run) -> None:
        if self._tired is not None:
            self._tired.cancel()
        task = self._tasks[slot] = asyncio.get_running_loop().create_task(self._answer(slot, run))
        task.add_done_callback(lambda _: self._over(slot, task))

    def stop(self, slot: int) -> None:
        """Kill what runs for that slot; nothing is heard of it any more."""
        task = self._tasks.pop(slot, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Kill all, and wait until they are gone."""
        for slot in list(self._tasks):
            self.stop(slot)
        self._rest()
        while self._ending:
            await asyncio.wait(self._ending)

    def _over(self, slot: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(slot) is task:
            del self._tasks[slot]
        if not self._tasks:
            if self._tired is not None:
                self._tired.cancel()
            self._tired = asyncio.get_running_loop().call_later(IDLE, self._rest)

    async def _answer(self, slot: int, run: Run) -> None:
        try:
            ended = await self._run(slot, run)
        except TaskFault as fault:
            ended = Ended(run.sequence, Failed(str(fault)))
        except HostFault as fault:
            ended = Ended(run.sequence, Broken(str(fault)))
        except (OSError, MemoryError) as error:
            ended = Ended(run.sequence, Broken(f"the provider has trouble with a Python task: {error or 'out of memory'}"))
        if self._tasks.get(slot) is asyncio.current_task():
            self.feed(RunsEnded(slot, (ended,)))

    async def _run(self, slot: int, run: Run) -> Ended:
        params = run.params
        assert isinstance(params, PythonParams)
        if params.network:
            raise HostFault("this provider gives Python tasks no network")
        kit = kit_of(params)
        interpreter, had = self._take(kit)
        unused = True
        try:
            limits = messages.effective(params.limits, self._settings.output, self._settings.files)
            interpreter, had = await self._ready(interpreter, had)
            order = await asyncio.to_thread(self._order, run, params, limits, had)
            await interpreter.ready()
            unused = False
            self._replenish()
            return await interpreter.run(run, limits, order, *self._listeners(slot, run))
        finally:
            self._spares.ended(kit)
            if unused and interpreter.usable:
                self._keep(interpreter, had)
            else:
                self._end(interpreter)

    async def _ready(self, interpreter: Interpreter, had: Kit) -> tuple[Interpreter, Kit]:
        """One that has its kit, or a plain one instead of one that can't have it."""
        if had == PLAIN:
            return interpreter, had
        try:
            await interpreter.ready()
            return interpreter, had
        except (TaskFault, HostFault):
            self._spares.failed(had)
            self._end(interpreter)
            return self._start(PLAIN), PLAIN

    def _listeners(self, slot: int, run: Run) -> tuple[Callable[[], None], Callable[[bytes, bytes], None]]:
        def began() -> None:
            if run.params.limits.wall:
                self.feed(RunBegan(slot, run.sequence))

        def told(stdout: bytes, stderr: bytes) -> None:
            self.feed(OutputWritten(slot, run.sequence, stdout, stderr))

        return began, told

    def _order(self, run: Run, params: PythonParams, limits: Limits, had: Kit) -> tuple[str, list[bytes]]:
        """What a task is given, as bytes, by an interpreter that has a kit. Blocks."""
        pickle, rootfs = self._file(params.pickle), params.rootfs
        files = self._packages.get(params.packages) if had == PLAIN else Files()
        shared = [self._storage.get(ref) for ref in params.shared]
        return messages.order(run, limits, files, pickle, self._file(rootfs) if rootfs else None, shared)

    def _file(self, file: File | bytes) -> bytes:
        if isinstance(file, bytes):
            return file
        return self._storage.get(file.ref) if file.blob is None else file.blob

    # Those that wait.

    def _take(self, kit: Kit) -> tuple[Interpreter, Kit]:
        """For a task with that kit, and what it has of it: all, or nothing."""
        found = self._spares.take(kit)
        return (self._start(PLAIN), PLAIN) if found is None else (self._waiting.pop(found[0]), found[1])

    def _start(self, kit: Kit) -> Interpreter:
        assert self._pieces is not None, "a Python task before there was an interpreter"
        return Interpreter(self._launcher, self._pieces, None if kit == PLAIN else lambda: self._kit(kit))

    def _kit(self, kit: Kit) -> tuple[str, list[bytes]]:
        """The message that equips an interpreter. Blocks."""
        limits = messages.effective(NO_LIMITS, self._settings.output, self._settings.files)
        return messages.kit(kit.packages, kit.envs, limits, self._packages.get(kit.packages))

    def _keep(self, interpreter: Interpreter, kit: Kit) -> None:
        number = next(self._numbers)
        self._waiting[number] = interpreter
        self._spares.put(number, kit)
        interpreter.when_lost(lambda spoiled: self._lost(number, kit, spoiled))

    def _replenish(self) -> None:
        starts, stops = self._spares.plan()
        for number in stops:
            self._drop(number)
        for kit in starts:
            self._keep(self._start(kit), kit)

    def _lost(self, number: int, kit: Kit, spoiled: bool) -> None:
        interpreter = self._waiting.pop(number, None)
        if interpreter is None:
            return
        self._spares.drop(number)
        if spoiled:
            self._spares.failed(kit)
        self._end(interpreter)

    def _drop(self, number: int) -> None:
        self._spares.drop(number)
        self._end(self._waiting.pop(number))

    def _rest(self) -> None:
        for number in list(self._waiting):
            self._drop(number)

    def _end(self, interpreter: Interpreter) -> None:
        interpreter.kill()
        task = asyncio.get_running_loop().create_task(interpreter.gone())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _nobody(event: Event) -> None:
    raise AssertionError(f"{type(event).__name__} before the runtime was there")
