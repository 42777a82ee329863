"""A native slot: a process that takes runs over a socket, does them in order, answers each once (docs/slot-protocol.md).

Started by slots.py as `python -m pyodide_provider.native.worker`; imports little, because every kill starts a new one.
"""

from __future__ import annotations

import gc
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..core.run import Broken, Exited, Failed, File, Outcome, Params
from ..errors import HostFault, TaskFault
from ..slot_messages import ended_message, params_of, read_header, ready_header
from . import frames
from .blob_cache import BlobCache
from .limits import die_with_parent, first_to_go, limit_file_size, no_core_dumps
from .programs import Programs
from .roots import Roots
from .storage import Storage
from .wasi import Streams, Wasi


class Worker:
    """`start` is the header of that name; see slots.py for its fields."""

    def __init__(self, start: dict[str, Any], streams: Streams) -> None:
        limits = start["limits"]
        cache = BlobCache(Path(start["cache"]))
        storage = self._storage = Storage(start["storage"], cache)
        self._files: int = limits["files"]
        self._wasi = Wasi(streams, limits["output"])
        self._programs = Programs(self._wasi, cache, storage, start["engine"])
        self._roots = Roots(start["scratch"], storage, self._files)
        self._clean = True

    def run(self, field: dict[str, Any], body: bytes) -> tuple[float, Outcome]:
        """(seconds, outcome) of one RUN. `clean` follows when it was told."""
        try:
            params = self._with_stdin(params_of(field, body))
            program = self._programs.load(params.binary)
            root = self._roots.prepare(params.rootfs)
            self._clean = False
            began = time.perf_counter()
            outcome: Outcome = self._wasi.run(program, params, root)
            seconds = time.perf_counter() - began
            if params.artifacts and isinstance(outcome, Exited):
                outcome = self._with_artifacts(outcome, params, root)
            return seconds, outcome
        except TaskFault as fault:
            return 0.0, Failed(str(fault))
        except HostFault as fault:
            return 0.0, Broken(str(fault))
        except OSError as error:
            return 0.0, Broken(f"the worker has trouble with its files: {error}")
        except MemoryError:
            return 0.0, Broken("the worker is out of memory")

    def clean(self) -> None:
        if not self._clean:
            self._roots.clean()
            self._clean = True

    def _with_stdin(self, params: Params) -> Params:
        stdin = params.stdin
        return replace(params, stdin=self._storage.get(stdin.ref)) if isinstance(stdin, File) else params

    def _with_artifacts(self, outcome: Exited, params: Params, root: str) -> Exited:
        from .artifacts import collect, missing_text

        packed, missing = collect(root, params.artifacts, self._files)
        return replace(outcome, stderr=_bytes(outcome.stderr) + missing_text(missing), artifacts=packed)


def _bytes(part: bytes | File) -> bytes:
    assert isinstance(part, bytes)
    return part


def serve(channel: socket.socket, stdout: int, stderr: int) -> None:
    """Take messages until the other end closes."""
    streams = Streams(stdout, stderr)
    with cast(BinaryIO, channel.makefile("rb", 1 << 16)) as stream:
        first = _read(stream)
        if first is None:
            return
        start = first[0]["start"]
        worker = Worker(start, streams)
        limit_file_size(start["limits"]["files"])
        gc.collect()
        gc.freeze()
        _send(channel, ready_header(start["engine"]), [])
        while message := _read(stream):
            header, body = message
            for field in header.get("runs", ()):
                seconds, outcome = worker.run(field, body)
                _send(channel, *ended_message(field["key"], seconds, outcome))
                worker.clean()


def _read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    prefix = stream.read(frames.PREFIX.size)
    if len(prefix) < frames.PREFIX.size:
        return None
    header, body = frames.sizes(prefix)
    return read_header(stream.read(header)), stream.read(body) if body else b""


def _send(channel: socket.socket, header: str, body: list[bytes]) -> None:
    for piece in frames.pack(header, body):
        channel.sendall(piece)


def main() -> int:
    """Arguments: the parent's process id, and the descriptors of the socket and the files for stdout and stderr."""
    parent, descriptor, stdout, stderr = map(int, sys.argv[1:5])
    die_with_parent(parent)
    # A terminal's Ctrl-C and a service manager's SIGTERM are for the parent, which lets us end our run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    no_core_dumps()
    first_to_go()
    try:
        with socket.socket(fileno=descriptor) as channel:
            serve(channel, stdout, stderr)
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
