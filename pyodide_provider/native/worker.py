"""A native slot: a process that takes runs over a socket, does them in order, answers each once (docs/slot-protocol.md).

Started by slots.py as `python -m pyodide_provider.native.worker`; imports little, because every kill starts a new one.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..core.run import NO_LIMITS, Broken, Failed, Limits, Outcome, Params, Usage
from ..errors import HostFault, TaskFault
from ..slot_messages import SPENT, began_header, ended_message, params_of, read_header, ready_header
from . import frames
from .blob_cache import BlobCache
from .gauge import Gauge
from .limits import OUTPUT_EXIT, FileSize, die_with_parent, effective, files_text, first_to_go, no_core_dumps
from .outputs import Outputs
from .programs import Program, Programs
from .ran import Given
from .roots import Root, Roots
from .storage import Storage
from .streams import STDIN, Streams
from .templates import Templates
from .tree import Changes
from .wasi import Wasi
from .watch import Watch

STDIN_INLINE = 1 << 20
"""Bytes of a stdin by reference that are read at once: a file costs two hops between threads for each read."""


class Worker:
    """`start` is the header of that name; see slots.py for its fields. `tell` sends a message."""

    def __init__(self, start: dict[str, Any], streams: Streams, gauge: Gauge, tell: Callable[[str, list[bytes]], None]) -> None:
        own = start["limits"]
        self._output: int = own["output"]
        self._files: int = own["files"]
        self._tell = tell
        self._streams = streams
        self._gauge = gauge
        cache = BlobCache(Path(start["cache"]))
        storage = self._storage = Storage(start["storage"], cache)
        self._wasi = Wasi(streams)
        self._programs = Programs(self._wasi, cache, storage, start["engine"])
        templates = Templates(Path(start["templates"]), cache, storage, self._files)
        self._scratch = start["scratch"]
        self._roots = Roots(self._scratch, templates)
        self._outputs = Outputs(streams, storage, start["scratch"])
        self._size = FileSize()
        self._size.hold(effective(NO_LIMITS, self._output, self._files))
        self._watch = Watch()
        self._root: Root | None = None
        self._changes: Changes | None = None

    def run(self, field: dict[str, Any], body: bytes) -> None:
        """Do one RUN, and tell how it ended. `clean` is to follow."""
        key, usage = field["key"], Spent(self._gauge)
        try:
            outcome: Outcome = self._run(key, params_of(field, body), usage)
        except TaskFault as fault:
            outcome = Failed(str(fault))
        except HostFault as fault:
            outcome = Broken(str(fault))
        except OSError as error:
            outcome = Broken(f"the worker has trouble with its files: {error}")
        except MemoryError:
            outcome = Broken("the worker is out of memory")
        self._tell(*ended_message(key, usage.seconds, outcome, usage.told()))

    def clean(self) -> None:
        """After a run: nothing of it is left for the next one."""
        if self._root is not None:
            self._roots.clean(self._root, self._changes)
            self._root = None

    def spent(self) -> bool:
        """After a run: whether this process can't do another one."""
        return self._wasi.spent()

    def _run(self, key: int, params: Params, usage: Spent) -> Outcome:
        limits = effective(params.limits, self._output, self._files)
        program = self._programs.load(params.binary)
        usage.compiled(program)
        stdin = params.stdin
        if params.interactive:
            return self._do(key, params, program, limits, f"{self._scratch}/{STDIN}", usage)
        if isinstance(stdin, bytes):
            usage.bytes_in += len(stdin)
            return self._do(key, params, program, limits, stdin, usage)
        with self._storage.open(stdin.ref) as file:
            size = os.fstat(file.fileno()).st_size
            usage.bytes_in += size
            read = file.read() if size <= STDIN_INLINE else f"/proc/self/fd/{file.fileno()}"
            return self._do(key, params, program, limits, read, usage)

    def _do(self, key: int, params: Params, program: Program, limits: Limits, stdin: bytes | str, usage: Spent) -> Outcome:
        self._changes = None
        self._root = root = self._roots.prepare(params)
        usage.bytes_in += root.packed
        self._size.hold(limits)
        given = Given(params.args, params.envs, stdin, root.tree.path)
        watched = params.limits.wall or params.follow or params.interactive

        def begin() -> None:
            if watched:
                self._tell(began_header(key), [])
            usage.begin()

        self._watch.begin(lambda: self._over(root, limits))
        try:
            ran = self._wasi.run(program.linked, given, limits, begin)
        finally:
            self._watch.end()
            usage.end()
        usage.memory = ran.memory
        self._changes = changes = root.tree.changes()
        if changes.size > limits.files:
            return Failed(files_text(limits))
        if isinstance(ran.ended, Failed):
            return ran.ended
        outcome, usage.bytes_out = self._outputs.of(ran.ended, params, limits, root.tree.path, changes.written)
        return outcome

    def _over(self, root: Root, limits: Limits) -> int:
        if sum(self._streams.sizes) > limits.output:
            return OUTPUT_EXIT
        return root.tree.over(limits)


class Spent:
    """What a run has used so far."""

    __slots__ = ("_began", "_gauge", "bytes_in", "bytes_out", "cached", "compile", "cpu", "memory", "seconds")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.seconds = self.compile = self._began = self.cpu = 0.0
        self.memory = self.bytes_in = self.bytes_out = 0
        self.cached = False

    def compiled(self, program: Program) -> None:
        self.compile = program.compiled
        self.cached = not program.compiled
        self.bytes_in += program.size

    def begin(self) -> None:
        self.cpu, self._began = time.process_time(), time.monotonic()
        self._gauge.begin(self._began, self.cpu)

    def end(self) -> None:
        """Of the program, which may not have begun."""
        if self._began:
            self.seconds = time.monotonic() - self._began
            self.cpu = time.process_time() - self.cpu
            self._gauge.end()

    def told(self) -> Usage:
        cpu, compiling = round(self.cpu, 6), round(self.compile, 6)
        return Usage(cpu, self.memory, self.bytes_in, self.bytes_out, compiling, self.cached)


def serve(channel: socket.socket, stdout: int, stderr: int, gauge: Gauge) -> None:
    """Take messages until the other end closes."""

    def tell(header: str, body: list[bytes]) -> None:
        for piece in frames.pack(header, body):
            channel.sendall(piece)

    with cast(BinaryIO, channel.makefile("rb", 1 << 16)) as stream:
        first = _read(stream)
        if first is None:
            return
        start = first[0]["start"]
        worker = Worker(start, Streams(stdout, stderr), gauge, tell)
        gc.collect()
        gc.freeze()
        tell(ready_header(start["engine"]), [])
        while message := _read(stream):
            header, body = message
            for field in header.get("runs", ()):
                worker.run(field, body)
                worker.clean()
                if worker.spent():
                    tell(SPENT, [])
                    return _wait_for_the_end(stream)


def _wait_for_the_end(stream: BinaryIO) -> None:
    """Threads of a program go on as long as this process: its parent ends it."""
    while stream.read(1 << 16):
        pass
    os._exit(0)


def _read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    prefix = stream.read(frames.PREFIX.size)
    if len(prefix) < frames.PREFIX.size:
        return None
    # Of any size: it is our parent who says it, and runs may have many arguments.
    header, body = frames.PREFIX.unpack(prefix)
    return read_header(stream.read(header)), stream.read(body) if body else b""


def main() -> int:
    """Arguments: the parent's process id, and the descriptors of the socket, the files for stdout and stderr, and the gauge."""
    parent, descriptor, stdout, stderr, gauge = map(int, sys.argv[1:6])
    die_with_parent(parent)
    # A terminal's Ctrl-C and a service manager's SIGTERM are for the parent, which lets us end our run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    no_core_dumps()
    first_to_go()
    try:
        with socket.socket(fileno=descriptor) as channel:
            serve(channel, stdout, stderr, Gauge(gauge))
    except (BrokenPipeError, ConnectionResetError):
        return 0
    except Exception as error:
        from traceback import print_exc

        # The last line is what the parent tells people.
        print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
