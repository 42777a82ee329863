"""One interpreter's process, from its start to its end: it gets one task. To be used from within a running loop."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast

from ...core.run import Broken, Ended, Failed, Limits, Run
from ...errors import HostFault
from ...slot_messages import read_header
from ..frames import FrameError, FrameReader, pack
from . import baking, messages
from .messages import Nonsense
from .node import Launcher
from .pieces import Pieces

Message: TypeAlias = tuple[str, Sequence[bytes]]
"""Header, and parts of the body."""
STARTING = 60.0
"""Seconds that Python may take to start."""
BESIDE = 768 << 20
"""Bytes of memory beside Python's own and its files: Node, its code, what is on its way in and out."""
TICKS = os.sysconf("SC_CLK_TCK")


class Interpreter(asyncio.Protocol):
    """`kit` gives the message that equips it, if it is to have more than every interpreter has; it is called in a thread.
    `options` are Node's, beside those of all."""

    def __init__(
        self, launcher: Launcher, pieces: Pieces, kit: Callable[[], Message] | None = None, options: Sequence[str] = ()
    ) -> None:
        self._launcher = launcher
        self._pieces = pieces
        self._options = options
        self._reader = FrameReader(messages.MAX_END + messages.MAX_TEXT)
        self._transport: asyncio.Transport | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._dead = False
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = loop.create_future()
        self._equipped: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Ended] = loop.create_future()
        self._baked: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._run: Run | None = None
        self._told: Callable[[bytes, bytes], None] = _nobody
        self._began: Callable[[], None] = _nothing
        self._left = 0
        """Bytes of output that may still be told."""
        self._since = self._cpu = 0.0
        self._has_begun = False
        self.took_baked = False
        """Whether it says that it starts with what was compiled before (baking.py)."""
        self._nonsense = ""
        self._life = loop.create_task(self._live())
        self._ready = self._started if kit is None else loop.create_task(self._equip(kit))
        for future in (self._started, self._equipped, self._ready, self._ended, self._baked):
            future.add_done_callback(_looked_at)

    @property
    def usable(self) -> bool:
        """Whether it may still take a task, as far as anyone knows."""
        return not self._dead and not self._life.done() and self._run is None

    def when_lost(self, call: Callable[[bool], None]) -> None:
        """Have it told when it can take no task any more; true: because it could not be equipped."""
        self._ready.add_done_callback(lambda ready: call(True) if ready.cancelled() or ready.exception() else None)
        self._life.add_done_callback(lambda _: call(False))

    async def ready(self) -> None:
        """When it can take its task. Raises HostFault when it can't start or be equipped, and what `kit` raises."""
        try:
            async with asyncio.timeout(STARTING):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill()
            raise HostFault(f"Python could not be started here: it did not start within {STARTING:.0f} s") from None

    async def run(
        self,
        run: Run,
        limits: Limits,
        order: Message,
        began: Callable[[], None],
        told: Callable[[bytes, bytes], None],
    ) -> Ended:
        """Give it its task; gives how that ended. `told` gets what it writes when it is followed."""
        header, parts = order
        self._run, self._began, self._told, self._left = run, began, told, limits.output
        self._begin()
        if self._life.done():
            raise HostFault("Python died before it got its task")
        if self._transport is not None and self._popen is not None:
            most = limits.memory + limits.files + limits.output + BESIDE + 2 * sum(map(len, parts))
            with suppress(OSError):
                resource.prlimit(self._popen.pid, resource.RLIMIT_DATA, (most, most))
            self._transport.writelines(pack(header, parts))
        return await self._ended

    async def bake(self) -> tuple[bytes, bytes]:
        """Have it run what most tasks run; gives what V8 has compiled then (baking.py). Raises HostFault."""
        try:
            async with asyncio.timeout(STARTING):
                await self.run(baking.RUN, baking.LIMITS, baking.order(), _nothing, _nobody)
                return await asyncio.shield(self._baked)
        except TimeoutError:
            raise HostFault("what Python is compiled to can't be had") from None

    async def _equip(self, kit: Callable[[], Message]) -> None:
        header, parts = await asyncio.to_thread(kit)
        await self._started
        if self._transport is not None:
            self._transport.writelines(pack(header, parts))
        await self._equipped

    def kill(self) -> None:
        self._dead = True
        if self._popen is not None and self._popen.returncode is None:
            with suppress(ProcessLookupError):
                self._popen.kill()
        if self._transport is not None:
            self._transport.abort()

    async def gone(self) -> None:
        await asyncio.wait([self._life])

    # What happens to it.

    async def _live(self) -> None:
        errors = os.memfd_create("stderr")
        try:
            reason = await self._until_gone(errors)
            for future in (self._started, self._equipped, self._baked):
                if not future.done():
                    future.set_exception(HostFault(f"Python could not be started here: {reason}"))
            if self._run is not None and not self._ended.done():
                outcome = Failed(f"Python died: {reason}") if self._has_begun else Broken(f"Python died: {reason}")
                self._ended.set_result(Ended(self._run.sequence, outcome, self._seconds()))
        finally:
            os.close(errors)

    async def _until_gone(self, errors: int) -> str:
        """Why it is gone."""
        try:
            popen, channel = await asyncio.to_thread(self._launcher.launch, self._pieces.descriptors, errors, *self._options)
        except OSError as error:
            return _last_line(errors) or str(error.strerror or error)
        self._popen = popen
        if self._dead:
            popen.kill()
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=channel)
        await self._gone
        self.kill()
        code = await asyncio.to_thread(popen.wait)
        words = "" if self._started.done() else _last_line(errors)
        return self._nonsense or ": ".join(filter(None, (_how(code), words)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        if self._dead:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for header, body in self._reader.feed(data):
                self._hear(read_header(header), body)
        except (FrameError, Nonsense, ValueError, RecursionError) as error:
            self._nonsense = f"it said what no Python would say: {error}"
            self.kill()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    def _hear(self, report: dict[str, Any], body: bytes) -> None:
        run = self._run
        if run is None:
            waited = self._equipped if self._started.done() else self._started
            if "ready" not in report or waited.done():
                raise Nonsense(str(report.get("failed", "it speaks before it was asked"))[:500])
            self.took_baked |= report.get("baked") is True
            waited.set_result(None)
        elif "output" in report:
            self._hear_output(*messages.output(report["output"], body, run))
        elif "began" in report:
            if self._has_begun:
                raise Nonsense("it begins twice")
            self._has_begun = True
            self._begin()
            self._began()
        elif self._ended.done() and self._options == baking.OPTIONS and not self._baked.done():
            self._baked.set_result(baking.baked(report.get("baked"), body))
        elif not self._ended.done():
            self._ended.set_result(messages.ended(report.get("ended"), body, run, self._seconds(), self._spent() - self._cpu))

    def _hear_output(self, stdout: bytes, stderr: bytes) -> None:
        self._left -= len(stdout) + len(stderr)
        if self._left < 0:
            raise Nonsense("more output than it may write")
        if (stdout or stderr) and not self._ended.done():
            self._told(stdout, stderr)

    def _begin(self) -> None:
        self._since, self._cpu = time.monotonic(), self._spent()

    def _seconds(self) -> float:
        return time.monotonic() - self._since if self._since else 0.0

    def _spent(self) -> float:
        """Seconds of all its processors' time, as the kernel counts them (proc_pid_stat(5))."""
        assert self._popen is not None
        try:
            with open(f"/proc/{self._popen.pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / TICKS


def _how(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}" if code else "its process ended"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"


def _last_line(errors: int) -> str:
    """What launch.py, or Node, said last."""
    size = os.fstat(errors).st_size
    lines = os.pread(errors, 2000, max(size - 2000, 0)).decode("utf-8", "replace").strip().splitlines()
    return "".join(char for char in lines[-1] if char.isprintable())[:300] if lines else ""


def _looked_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _nobody(stdout: bytes, stderr: bytes) -> None: ...


def _nothing() -> None: ...
