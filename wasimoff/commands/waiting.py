"""Why nothing happens: what the broker says of its queue, when a task has been waiting for a while. Imports the client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from .. import exits
from ..errors import WasimoffError

if TYPE_CHECKING:
    from ..client import AsyncClient

SOON = 3.0
"""Seconds after which people wonder."""


@contextlib.asynccontextmanager
async def told_why(client: AsyncClient, wanted: bool) -> AsyncIterator[asyncio.Event]:
    """Meanwhile say on stderr, once, why tasks wait; not when the event given is set before: something came."""
    came = asyncio.Event()
    asking = asyncio.create_task(_tell(client, came)) if wanted else None
    try:
        yield came
    finally:
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def _tell(client: AsyncClient, came: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            await came.wait()
            return
    with contextlib.suppress(WasimoffError):
        note = (await client.status()).note
        if note and not came.is_set():
            exits.say(f"nothing came yet; the broker says: {note}")
