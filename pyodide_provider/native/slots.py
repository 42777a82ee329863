"""The slots: child processes, spoken to over socket pairs. Imports the core's data and events; runs on asyncio or uvloop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from ..core.events import Event, InputTaken, OutputWritten, RunBegan, RunsEnded, SlotLost, SlotReady, SlotSpent
from ..core.run import Ended, Failed, PythonParams, Run, Usage
from ..slot_messages import ended, read_header, runs_message, start_header
from . import gauge, trees
from .follow import EVERY, LIVELY, Follower
from .frames import FrameError, FrameReader, pack
from .gauge import Gauge
from .limits import death_text, effective
from .stdin import Stdin

STDERR_TAIL = 2000
TEMPLATES = "templates"
"""Below a provider's scratch folder: what its slots have unpacked."""
DYING = 2.0
"""Seconds that a worker whose socket has closed may take to end by itself."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every worker is told."""

    storage: str
    """URL below which blobs are, without a slash at its end."""
    cache: Path
    scratch: Path
    """A folder of this provider alone; each slot gets one below it."""
    engine: str
    output: int
    """Bytes of stdout and stderr of a run, together."""
    files: int
    """Bytes of all files that a run writes, and of all that is unpacked for it."""


class Python(Protocol):
    """Where Python runs go: to processes of their own, which come and go with each run. To the core both are the slot."""

    def post(self, slot: int, run: Run) -> None: ...

    def stop(self, slot: int) -> None: ...


class ProcessSlots:
    """`ports.Slots` on child processes; `feed` gets what they say. To be used from within a running loop."""

    def __init__(self, settings: Settings, log: Callable[[str], None] | None = None, python: Python | None = None) -> None:
        self.feed: Callable[[Event], None] = _nobody
        self._settings = settings
        self._python = python
        self._log = log or (lambda line: None)
        self._alive: dict[int, _Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, slot: int) -> None:
        process = _Process(slot, self._settings, self._heard)
        self._alive[slot] = process
        task = asyncio.get_running_loop().create_task(self._live(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, slot: int) -> None:
        process = self._alive.pop(slot, None)
        if process is not None:
            process.kill()
        if self._python is not None:
            self._python.stop(slot)

    def post(self, slot: int, runs: Sequence[Run]) -> None:
        if self._python is not None and isinstance(runs[0].params, PythonParams):
            # It is alone: how long it takes is not known, so the core posts nothing behind it, and it behind nothing.
            return self._python.post(slot, runs[0])
        process = self._alive.get(slot)
        if process is not None:
            process.post(runs)

    def put(self, slot: int, sequence: int, data: bytes, end: bool) -> None:
        process = self._alive.get(slot)
        if process is not None:
            process.put(sequence, data, end)

    def cpu(self, slot: int, seconds: float) -> float:
        # Python's is not known here.
        process = self._alive.get(slot)
        return process.used()[1] if process is not None else 0.0

    def kill_all(self) -> None:
        for slot in list(self._alive):
            self.stop(slot)

    async def close(self) -> None:
        """Kill all, and wait until they are gone with their folders."""
        self.kill_all()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _live(self, process: _Process) -> None:
        try:
            reason, ended = await process.live()
        finally:
            await asyncio.to_thread(trees.remove, process.scratch)
        self._log(f"worker {process.slot} ended: {reason}")
        if self._alive.pop(process.slot, None) is not None:
            if self._python is not None:
                self._python.stop(process.slot)
            self.feed(SlotLost(process.slot, reason, ended))

    def _heard(self, process: _Process, event: Event) -> None:
        if isinstance(event, SlotReady):
            self._log(f"worker {process.slot} is ready")
        self.feed(event)


class _Process(asyncio.Protocol):
    """One worker, from its start to its end."""

    def __init__(self, slot: int, settings: Settings, heard: Callable[[_Process, Event], None]) -> None:
        self.slot = slot
        self.scratch = str(settings.scratch / str(slot))
        self._settings = settings
        self._heard = heard
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._streams: list[int] = []
        self._gauge: Gauge | None = None
        self._used = 0.0, 0.0
        """Of the run that it died of."""
        self._runs: deque[Run] = deque()
        """What was sent to it and has not ended; the head is what it does now."""
        self._held: deque[Run] = deque()
        """What waits for others to end."""
        self._follower: Follower | None = None
        self._stdin: Stdin | None = None
        self._closed = asyncio.get_running_loop().create_future()
        self._popen: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._fault = ""

    async def live(self) -> tuple[str, Ended | None]:
        """(why it ended, how the run that it died of ends)."""
        if self._killed:
            return "stopped", None
        streams = self._streams = [os.memfd_create("stdout"), os.memfd_create("stderr")]
        measure = gauge.make()
        try:
            self._gauge = Gauge(measure)
            tail = await self._begin([*streams, measure])
            await self._closed
            code = await asyncio.to_thread(self._reap)
            return await self._reason(code, tail), self._end(code, streams)
        except OSError as error:
            return f"could not be started: {error}", None
        finally:
            self.kill()
            await asyncio.to_thread(self._reap)
            for descriptor in (*streams, measure):
                os.close(descriptor)

    async def _begin(self, shared: list[int]) -> _Tail:
        loop = asyncio.get_running_loop()
        os.mkdir(self.scratch, 0o700)
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            try:
                popen = self._popen = _spawn([theirs.fileno(), *shared])
            except OSError:
                ours.close()
                raise
        _, tail = await loop.connect_read_pipe(_Tail, popen.stderr)
        await loop.create_unix_connection(lambda: self, sock=ours)
        return tail

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        transport = self._transport = cast(asyncio.Transport, transport)
        chosen = self._settings
        limits = {"output": chosen.output, "files": chosen.files}
        templates = str(chosen.scratch / TEMPLATES)
        more = {"cache": str(chosen.cache), "scratch": self.scratch, "templates": templates, "engine": chosen.engine}
        transport.writelines(pack(start_header(chosen.storage, limits, **more)))
        transport.writelines(self._waiting)
        if self._killed:
            self.kill()

    def data_received(self, data: bytes) -> None:
        ends: list[Ended] = []
        spent = False
        try:
            for header, body in self._reader.feed(data):
                report = read_header(header)
                if "ended" in report:
                    these = ended(report["ended"], body)
                    self._ended(len(these))
                    ends += these
                elif "began" in report:
                    self._began(self._runs[0])
                elif "spent" in report:
                    spent = True
                elif "ready" in report:
                    self._heard(self, SlotReady(self.slot))
        except (FrameError, ValueError, LookupError, TypeError) as error:
            self._fault = f"it sent nonsense: {error}"
            self.kill()
        # All that came at once in one event, so that it leaves in one frame.
        if ends:
            self._heard(self, RunsEnded(self.slot, tuple(ends)))
        if spent:
            self._heard(self, SlotSpent(self.slot))

    def connection_lost(self, error: Exception | None) -> None:
        self._used = self.used()
        self._let_go()
        if not self._closed.done():
            self._closed.set_result(None)

    def post(self, runs: Sequence[Run]) -> None:
        """Send runs; one that is attended has the worker for itself, so that it is certain whose streams they are."""
        self._held.extend(runs)
        self._send_held()

    def _send_held(self) -> None:
        if self._runs and _attended(self._runs[-1]):
            return
        runs: list[Run] = []
        while self._held and not (_attended(self._held[0]) and (self._runs or runs)):
            runs.append(self._held.popleft())
            if _attended(runs[-1]):
                break
        if not runs or not self._open_stdin(runs[-1]):
            return
        self._runs.extend(runs)
        header, body = runs_message(runs)
        self._write(pack(header, (body,) if body else ()))

    def _open_stdin(self, run: Run) -> bool:
        """For a run that wants one; false when that can't be."""
        params = run.params
        if not params.interactive:
            return True
        assert isinstance(params.stdin, bytes)
        try:
            self._stdin = Stdin(self.scratch, lambda taken: self._heard(self, InputTaken(self.slot, run.sequence, taken)))
        except OSError as error:
            self._fault = f"no pipe for its stdin: {error}"
            self.kill()
            return False
        self._stdin.put(params.stdin, False)
        return True

    def put(self, sequence: int, data: bytes, end: bool) -> None:
        if self._stdin is not None and self._runs and self._runs[-1].sequence == sequence:
            self._stdin.put(data, end)

    def _began(self, run: Run) -> None:
        if run.params.limits.wall:
            self._heard(self, RunBegan(self.slot, run.sequence))
        if self._stdin is not None:
            self._stdin.opened()
        if run.params.follow:
            self._follow(run)

    def _follow(self, run: Run) -> None:
        def tell(stdout: bytes, stderr: bytes) -> None:
            self._heard(self, OutputWritten(self.slot, run.sequence, stdout, stderr))

        self._follower = Follower(self._streams, tell, LIVELY if run.params.interactive else EVERY)

    def _ended(self, count: int) -> None:
        for _ in range(count):
            self._runs.popleft()
        self._let_go()
        if self._held and not self._runs:
            self._send_held()

    def _let_go(self) -> None:
        """Of the streams of what ran."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None

    def _write(self, pieces: list[bytes]) -> None:
        if self._transport is None:
            self._waiting += pieces
        else:
            self._transport.writelines(pieces)

    def kill(self) -> None:
        self._killed = True
        self._let_go()
        if self._popen is not None and self._popen.returncode is None:
            with suppress(ProcessLookupError):
                self._popen.kill()
        if self._transport is not None:
            self._transport.abort()

    def _reap(self) -> int:
        if self._popen is None:
            return 0
        try:
            return self._popen.wait(DYING)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()

    async def _reason(self, code: int, tail: _Tail) -> str:
        if self._fault:
            return self._fault
        with suppress(TimeoutError):
            await asyncio.wait_for(tail.ended, DYING)
        last = tail.text.decode("utf-8", "replace").strip().splitlines()[-1:]
        how = f"killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return ": ".join([how, *last])

    def used(self) -> tuple[float, float]:
        """Seconds that its run has taken so far, and those of the processor."""
        return (0.0, 0.0) if self._gauge is None or self._popen is None else self._gauge.used(self._popen.pid)

    def _end(self, code: int, streams: list[int]) -> Ended | None:
        """A worker that the kernel stopped at a limit tells nothing; the size of its files does."""
        if not self._runs:
            return None
        limits = effective(self._runs[0].params.limits, self._settings.output, self._settings.files)
        text = death_text(code, max(os.fstat(stream).st_size for stream in streams), limits)
        seconds, cpu = self._used
        return Ended(self._runs[0].sequence, Failed(text), seconds, Usage(cpu=cpu)) if text else None


class _Tail(asyncio.Protocol):
    """The last of what a worker says on stderr."""

    def __init__(self) -> None:
        self.text = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.text = (self.text + data)[-STDERR_TAIL:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _spawn(passed: list[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pyodide_provider.native.worker", str(os.getpid()), *map(str, passed)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=passed,
        start_new_session=True,
    )


def _attended(run: Run) -> bool:
    """Whether something passes between it and somebody else while it runs."""
    return run.params.follow or run.params.interactive


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _nobody(event: Event) -> None:
    raise AssertionError(f"{type(event).__name__} before the runtime was there")
