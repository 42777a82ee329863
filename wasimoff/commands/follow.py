"""`wasimoff run -f` and `-i`: a task's streams become ours while it runs, and what is typed becomes its stdin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from .. import exits
from .common import write_all

if TYPE_CHECKING:
    from ..client import AsyncClient
    from ..result import Result
    from ..task import Task

READ = 64 * 2**10


async def talked(client: AsyncClient, task: Task, interactive: bool, came: asyncio.Event) -> Result:
    """Print what the task writes as it comes; with `interactive` send what we read. Gives the Result, printed in full.

    Sets `came` when something came.
    """
    from ..following import Printed
    from ..live import pieces
    from ..result import Result

    printed = Printed()
    stdin = pieces(_read) if interactive else None
    async with contextlib.aclosing(client.follow(task, stdin)) as items:
        async for item in items:
            came.set()
            out, err = printed.end(item) if isinstance(item, Result) else printed.take(item)
            if printed.differs:
                exits.say("the task was begun again and wrote something else than what is above; from here on it is this:")
            write_all(sys.stdout, out)
            write_all(sys.stderr, err)
            if isinstance(item, Result):
                return item
    raise AssertionError("the last item is the Result")


def _read() -> bytes:
    """Our stdin as it comes; b"": it has ended, or there is none."""
    try:
        return os.read(0, READ)
    except OSError:
        return b""
