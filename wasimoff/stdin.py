"""A task's stdin: bytes, or a file that is read when the task is sent; how it goes there. Imports the storage."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from .errors import BrokerError, UsageError
from .source import read_at_most
from .storage import Storage
from .task import Task, Wishes
from .version import Version

LARGE = 2**20
"""Bytes from which on it goes by way of the storage, where the broker has one for it."""
MAX_INLINE = 256 * 2**20
"""Bytes of one task's message; the broker may take less."""


def is_large(task: Wishes) -> bool:
    """Whether it would go by way of the storage. Raises UsageError when it can't be read."""
    return isinstance(task, Task) and _size(task.stdin) > LARGE


async def placed(task: Wishes, storage: Storage, version: Version) -> str | bytes:
    """Its ref in the storage, or all of it. Raises UsageError when it can't be read, or is too large to go inline."""
    stdin = task.stdin
    if is_large(task) and await version.extension():
        try:
            return await storage.upload(Path(stdin) if isinstance(stdin, os.PathLike) else bytes(stdin), data=True)
        except BrokerError:
            pass  # its storage takes no data, or is full: perhaps the task's message is not too large
    return await asyncio.to_thread(_read, Path(stdin)) if isinstance(stdin, os.PathLike) else bytes(stdin)


def _size(stdin: bytes | os.PathLike[str]) -> int:
    if not isinstance(stdin, os.PathLike):
        return memoryview(stdin).nbytes
    try:
        return os.stat(stdin).st_size
    except OSError as error:
        raise _unreadable(stdin, error) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = read_at_most(file, MAX_INLINE)
    except OSError as error:
        raise _unreadable(path, error) from None
    if content is None:
        raise UsageError(
            f"{str(path)!r} has more than {MAX_INLINE} bytes, and this broker takes no stdin by way of its storage"
        )
    return content


def _unreadable(path: os.PathLike[str], error: OSError) -> UsageError:
    return UsageError(f"can't read {os.fspath(path)!r}: {error.strerror or error}")
