"""The native provider: builds its parts, minds signals, tells people what goes on. The only place here that builds objects."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import gethostname

from ..core.events import ConnectWanted, DrainWanted
from ..core.state import MAX_WORKERS, State
from ..core.status import Status
from ..errors import UsageError
from ..runtime import INTERACTIVE, THREADS, WASIP1, Runtime
from . import limits
from .blob_cache import BlobCache, default_folder
from .python.offer import PythonOffer
from .scratch import Scratch, sweep
from .slots import ProcessSlots, Settings
from .websocket import WebSocket, base_url, socket_url

KINDS = (WASIP1, THREADS, INTERACTIVE)
DEFAULT_URL = "http://localhost:4080"
STATUS_EVERY = 10.0
"""Seconds between two status lines, at least."""

EPILOG = """\
examples:
  python -m pyodide_provider --url https://wasimoff.example.org --workers max
  python -m pyodide_provider --workers 2 --name lab-7 --cache /var/cache/wasimoff

It connects to the broker, runs the WebAssembly programs that the broker sends, one at a time in each worker, and
reconnects by itself. Programs see no file, no network and no environment of this machine.

SIGINT (Ctrl-C) or SIGTERM: takes no more tasks, ends those that run, leaves. A second one: leaves at once; the broker
gives what ran here to others. exit codes: 0 after leaving in peace, 2 for wrong arguments, 128 + n after a second signal n.
"""


def parse_workers(text: str) -> int:
    """A number, or "max" for one per processor that this process may use. Raises UsageError."""
    if text == "max":
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or int(text) > MAX_WORKERS:
        raise UsageError(f"--workers is a number up to {MAX_WORKERS}, or max; not {text!r}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyodide_provider",
        description="Lend this machine: run WASI tasks of a wasimoff broker under wasmtime.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", default=os.environ.get("BROKER") or DEFAULT_URL, help=f"the broker (default: $BROKER or {DEFAULT_URL})")
    add("--workers", default="max", metavar="N|max", help="tasks to run at once (default: max, one per processor)")
    add("--name", default=gethostname(), help="what the broker calls this provider (default: %(default)s)")
    add("--cache", type=Path, metavar="DIR", help=f"for programs and compiled code (default: {default_folder()})")
    add("--python", choices=("auto", "off"), default="auto", help="Python tasks, where there is a Node (default: auto)")
    add("--verbose", action="store_true", help="also tell when workers start and end")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command line. Gives the exit code."""
    given = make_parser().parse_args(argv)
    return run(given.url, given.workers, given.name, given.cache, python=given.python != "off", verbose=given.verbose)


def run(
    url: str, workers: str = "max", name: str = "", cache: Path | None = None, *, python: bool = True, verbose: bool = False
) -> int:
    """Provide until told to leave. Gives the exit code; what is wrong with the arguments is told on stderr."""
    try:
        base, count = base_url(url), parse_workers(workers)
        kept = BlobCache(cache or default_folder())
        engine = _engine()
        kept.tidy()
        sweep(kept.scratch)
        scratch = Scratch(kept.scratch)
    except (UsageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return _runner()(_provide(base, count, name, kept, scratch, engine, python, verbose))
    finally:
        scratch.remove()


def _engine() -> str:
    try:
        return f"wasmtime {version('wasmtime')}"
    except PackageNotFoundError:
        raise UsageError("wasmtime is not installed; pip install 'wasimoff[provider]'") from None


def _runner() -> Callable[..., int]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _provide(
    base: str, workers: int, name: str, cache: BlobCache, scratch: Scratch, engine: str, python: bool, verbose: bool
) -> int:
    loop = asyncio.get_running_loop()
    voice = Voice()
    settings = Settings(f"{base}/api/storage", cache.folder, scratch.path, engine, limits.OUTPUT, limits.FILES)
    offer = PythonOffer(base, cache, workers, voice.log) if python else None
    slots = ProcessSlots(settings, voice.log if verbose else None, offer)
    socket = WebSocket(socket_url(base, name))
    state = State(workers, random.random)
    engines = f"{engine}, CPython {platform.python_version()}"
    runtime = Runtime(state, socket, slots, cache, LoopClock(), voice, engines, KINDS)
    slots.feed = socket.feed = runtime.feed
    if offer is not None:
        offer.feed = runtime.feed
        offer.announce = lambda kinds, more: runtime.offer((*KINDS, *kinds), f"{engines}{more}")
        socket.feed = offer.linked(runtime.feed)
    socket.receive = runtime.receive

    def leave(number: signal.Signals) -> None:
        if state.draining:
            slots.kill_all()
            scratch.remove()
            os._exit(128 + number)
        voice.log(f"{number.name}: takes no more tasks and ends those that run; once more to leave at once")
        runtime.feed(DrainWanted())

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave, number)
    voice.log(f"provider {name or '(no name)'} for {base}: {workers} workers, {engines}, cache {cache.folder}")
    runtime.feed(ConnectWanted())
    await voice.ended.wait()
    await socket.wait_closed()
    await slots.close()
    if offer is not None:
        await offer.close()
    voice.log("left")
    return 0


class LoopClock:
    """`ports.Clock` of the running loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._call_later = loop.call_later

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self._call_later(delay, callback)


class Voice:
    """`ports.StatusSink` on stderr: lines for people, never one per task."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._said = ""
        self._ready = -1
        self._last: Status | None = None
        self._due = False

    def log(self, line: str) -> None:
        printable = "".join(char if char.isprintable() else "?" for char in line)
        # Whoever read this may be gone; what runs here goes on.
        with suppress(OSError):
            print(time.strftime("%H:%M:%S"), printable, file=sys.stderr, flush=True)

    def show(self, status: Status) -> None:
        self._last = status
        if status.ready != self._ready:
            self._ready = status.ready
            self.log(f"{status.ready} of {status.workers} workers ready")
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(STATUS_EVERY, self._say)

    def finished(self) -> None:
        self.ended.set()

    def _say(self) -> None:
        self._due = False
        status = self._last
        if status is None:
            return
        line = f"{status.done} done, {status.failed} failed, {len(status.running)} running, {status.queued} queued"
        if line != self._said:
            self._said = line
            self.log(line)


if __name__ == "__main__":
    sys.exit(main())
