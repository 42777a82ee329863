"""Request bodies read within limits of size and time. Imports errors and aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from broker.errors import Refused, TooLarge, TooSlow

STALL_SECONDS = 30.0
"""Without a byte, after which a sender is given up."""
GRACE_SECONDS = 60.0
LEAST_BYTES_PER_SECOND = 1024
"""On average, once the grace is over: a body that drips in holds a connection for ever otherwise."""


async def chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it arrives, unpacked. Raises TooSlow, and Refused for one that can't be read."""
    now = asyncio.get_running_loop().time
    last = now() + GRACE_SECONDS
    content = request.content
    while True:
        try:
            async with asyncio.timeout(max(0.0, min(STALL_SECONDS, last - now()))):
                chunk = await content.readany()
        except TimeoutError:
            raise TooSlow("the body stopped arriving, or arrives too slowly: send it again") from None
        except web.RequestPayloadError:
            raise Refused("invalid_argument", "the body can't be read: is it encoded as its headers say?") from None
        if not chunk:
            return
        last += len(chunk) / LEAST_BYTES_PER_SECOND
        yield chunk


async def read(request: web.Request, limit: int, setting: str) -> bytes:
    """All of the body, at most `limit` bytes (set by `setting`). Raises TooLarge and what `chunks` raises."""
    check_length(request, limit, setting)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks(request):
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, setting)
        parts.append(chunk)
    return b"".join(parts)


def declared_length(request: web.BaseRequest) -> int | None:
    """Bytes that the body will have, by its headers; None when they don't say."""
    return None if "Content-Encoding" in request.headers else request.content_length


def check_length(request: web.BaseRequest, limit: int, setting: str) -> None:
    """Raises TooLarge when the headers promise more than is taken."""
    if (declared_length(request) or 0) > limit:
        raise _too_large(limit, setting)


def _too_large(limit: int, setting: str) -> TooLarge:
    return TooLarge(f"the body is too large: {limit} bytes are taken here; the operator can raise {setting}")
