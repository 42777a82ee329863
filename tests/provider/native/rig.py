"""Real slots for tests: child processes with wasmtime, a cache in a temporary folder, a small HTTP server for blobs."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

from pyodide_provider.core.events import Event, RunsEnded, SlotLost, SlotReady, SlotSpent
from pyodide_provider.core.run import Ended, Exited, File, Outcome, Params, Run
from pyodide_provider.native.blob_cache import BlobCache
from pyodide_provider.native.scratch import Scratch
from pyodide_provider.native.slots import ProcessSlots, Settings

ENGINE = f"wasmtime {version('wasmtime')}"
PATIENCE = 60.0


class BlobServer:
    """Serves /sha256:… like a broker's storage; counts what was asked for, and lies when told."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.answer_with: tuple[int, bytes] | None = None
        """Status and body of all answers."""
        self.uploads: list[str] = []
        self.refuse_uploads = 0
        """Answer uploads with this status."""
        self.cut_at: int | None = None
        """Bytes after which an answer breaks off."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/storage"

    def add(self, blob: bytes) -> str:
        ref = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[ref] = blob
        return ref

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        left, body = int(request.headers["Content-Length"]), bytearray()
        while len(body) < left and (chunk := request.rfile.read(min(left - len(body), 1 << 20))):
            body += chunk
        ref = self.add(bytes(body)) if not self.refuse_uploads else "no"
        self.uploads.append(ref)
        request.send_response(self.refuse_uploads or 200)
        request.end_headers()
        request.wfile.write(f"{ref}\n".encode())
        request.close_connection = True

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        ref = request.path.removeprefix("/api/storage/")
        self.asked.append(ref)
        self.before()
        status, body = self.answer_with or ((200, self.blobs[ref]) if ref in self.blobs else (404, b"not found"))
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body if self.cut_at is None else body[: self.cut_at])
        request.close_connection = True


class Rig:
    """Slots whose events are kept until someone waits for them."""

    def __init__(self, folder: Path, storage: str, output: int = 1 << 20, files: int = 8 << 20) -> None:
        self.cache = BlobCache(folder)
        self.scratch = Scratch(self.cache.scratch)
        self.slots = ProcessSlots(Settings(storage, folder, self.scratch.path, ENGINE, output, files))
        self.slots.feed = self._heard
        self.events: list[Event] = []
        self._news = asyncio.Event()
        self._sequence = 0
        self._replaced: dict[int, int] = {}

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event like that, taken out of `events`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.events:
                    if wanted(event):
                        self.events.remove(event)
                        return event
                self._news.clear()
                await self._news.wait()

    async def start(self, slot: int = 1) -> None:
        self.slots.start(slot)
        event = await self.until(lambda event: isinstance(event, (SlotReady, SlotLost)) and event.slot == slot)
        assert isinstance(event, SlotReady), event

    def post(self, slot: int, *params: Params) -> list[int]:
        first = self._sequence
        self._sequence += len(params)
        runs = [Run(first + number, f"task{first + number}", 1, given) for number, given in enumerate(params)]
        self.slots.post(slot, runs)
        return [run.sequence for run in runs]

    async def ended(self, slot: int, count: int) -> list[Ended]:
        ends: list[Ended] = []
        while len(ends) < count:
            event = await self.until(lambda event: isinstance(event, RunsEnded) and event.slot == slot)
            assert isinstance(event, RunsEnded)
            ends += event.ended
        return ends

    async def run(self, params: Params, slot: int = 1) -> Outcome:
        """Post one run and wait for its end; a slot that dies of it or is spent is replaced, as the core would do."""
        at = self._replaced.get(slot, slot)
        (sequence,) = self.post(at, params)
        event = await self.until(lambda event: isinstance(event, (RunsEnded, SlotLost, SlotSpent)) and event.slot == at)
        if isinstance(event, SlotSpent):
            self.slots.stop(at)
            self._replaced[slot] = at + 1000
            await self.start(at + 1000)
            return await self.run(params, slot)
        if isinstance(event, SlotLost):
            assert event.ended is not None, event
            await self.start(at)
            return event.ended.outcome
        assert isinstance(event, RunsEnded)
        (end,) = event.ended
        assert end.sequence == sequence
        return end.outcome

    async def lost(self, slot: int = 1) -> SlotLost:
        event = await self.until(lambda event: isinstance(event, SlotLost) and event.slot == slot)
        assert isinstance(event, SlotLost)
        return event

    async def close(self) -> None:
        await self.slots.close()
        self.scratch.remove()


@asynccontextmanager
async def rig(folder: Path, storage: str = "http://127.0.0.1:9/none", **limits: int) -> AsyncIterator[Rig]:
    made = Rig(folder, storage, **limits)
    try:
        yield made
    finally:
        await made.close()


def params(binary: bytes | str, *args: str, **more: object) -> Params:
    """`binary` is a module, or a ref."""
    file = File(binary) if isinstance(binary, str) else File(blob=binary)
    return Params(file, ("prog", *args), **more)  # type: ignore[arg-type]


def worker_of(made: Rig, slot: int = 1) -> int:
    """Its process id."""
    popen = made.slots._alive[slot]._popen
    assert popen is not None
    return popen.pid


def peak(pid: int) -> int:
    """Bytes that a process has had in memory at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10


def ok(outcome: Outcome) -> Exited:
    assert isinstance(outcome, Exited), outcome
    return outcome


def wait_until(true: Callable[[], bool], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def children_of(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in listed]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
