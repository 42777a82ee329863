"""What several subcommands share: options, the event loop under signals, streams. Imports click and the data."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import stat
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar

import click

from .. import exits
from ..errors import UsageError
from ..source import read_at_most

if TYPE_CHECKING:
    from ..client import AsyncClient

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

MAX_STDIN = 256 * 2**20
"""Bytes of one task's stdin; the broker may take less."""


def broker_options(command: F) -> F:
    """--broker and --http, of all commands that talk to one."""
    command = click.option("--http", is_flag=True, help="One HTTP request for each task instead of a WebSocket.")(command)
    return click.option("--broker", metavar="URL", help="Where the broker is. [default: $WASIMOFF_BROKER]")(command)


def connect(ctx: click.Context, broker: str | None, http: bool) -> AsyncClient:
    """The client that the options ask for."""
    from ..client import AsyncClient

    return AsyncClient(broker or ctx.obj, transport="http" if http else "websocket")


def perform(work: Coroutine[Any, Any, T]) -> T:
    """Run until done. Ctrl-C and SIGTERM cancel it first, so that tasks are cancelled on the broker."""
    terminated = False

    async def guarded() -> T:
        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        task = asyncio.ensure_future(work)
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if terminated:
            sys.exit(exits.TERMINATED)
        raise KeyboardInterrupt from None


def read_stdin(wanted: str | None) -> bytes | Path:
    """The task's stdin: the file that --stdin names, else what is piped or redirected to us, else nothing."""
    if wanted is None:
        return _read(sys.stdin.buffer, "stdin") if _is_piped() else b""
    if wanted == "-":
        return _read(sys.stdin.buffer, "stdin")
    path = Path(wanted)
    return path if path.is_file() and os.access(path, os.R_OK) else read_file(path)


def read_file(path: Path) -> bytes:
    """A file that becomes some task's stdin. Raises UsageError."""
    try:
        with path.open("rb") as file:
            return _read(file, repr(str(path)))
    except OSError as error:
        raise UsageError(f"can't read {str(path)!r}: {error.strerror or error}") from None


def _read(file: IO[bytes], name: str) -> bytes:
    content = read_at_most(file, MAX_STDIN)
    if content is None:
        raise UsageError(f"{name} has more than {MAX_STDIN} bytes: put large input into a rootfs")
    return content


def _is_piped() -> bool:
    """Whether our stdin is a pipe, a file or a socket: something that was meant for us."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def write_all(stream: TextIO, content: bytes) -> None:
    """All bytes, also where the stream is unbuffered (PYTHONUNBUFFERED) or does not block: it then takes them in parts.

    When nobody reads any more, the program ends quietly (click would make exit code 1 of it).
    """
    rest = memoryview(content)
    try:
        stream.flush()
        while rest:
            written = stream.buffer.write(rest)
            if written is None:
                select.select([], [stream], [])
            else:
                rest = rest[written:]
        stream.buffer.flush()
    except BrokenPipeError:
        exits.silence()
        sys.exit(exits.BROKEN_PIPE)


def put(text: str) -> None:
    """Lines on stdout."""
    encoding = sys.stdout.encoding or "utf-8"
    write_all(sys.stdout, f"{text}\n".encode(encoding, "replace"))
