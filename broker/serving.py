"""Bytes with an ETag sent to a client: ranges, revalidation, and no waiting for those who don't read. Imports aiohttp."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ETag, web

_RANGE = re.compile(r"bytes=(?=.*\d)(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
CHUNK = 1 << 18
STALL_SECONDS = 60.0
"""After which a client that does not read is cut off."""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes in a file at `path` or in `data`."""

    etag: str
    size: int
    path: Path | None = None
    data: bytes | None = None


async def serve(request: web.Request, source: Source, headers: Mapping[str, str]) -> web.StreamResponse:
    """200, 206, 304 or 416 as the request's Range, If-Range and If-None-Match say (RFC 9110 §13, §14); one range at most."""
    common = {**headers, "ETag": f'"{source.etag}"', "Accept-Ranges": "bytes"}
    if _known(request.if_none_match, source.etag):
        return web.Response(status=304, headers=common)
    part = _part(request, source)
    start, end = part or (0, source.size)
    if part and start >= end:
        return web.Response(status=416, headers={**common, "Content-Range": f"bytes */{source.size}"})
    response = web.StreamResponse(headers=common)
    if part:
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{source.size}"
    response.content_length = end - start
    if request.method == "HEAD" or start == end:
        await response.prepare(request)
        return response
    try:
        if source.path is None:
            await _send_data(request, response, memoryview(source.data or b"")[start:end])
        else:
            await _send_file(request, response, source.path, start, end)
    except ConnectionError:
        # What was promised can't be sent any more, and nothing else can be said: only an end that is seen as too early.
        if request.transport is not None:
            request.transport.abort()
    return response


def _known(tags: tuple[ETag, ...] | None, etag: str) -> bool:
    return any(tag.value in (etag, "*") for tag in tags or ())


def _part(request: web.Request, source: Source) -> tuple[int, int] | None:
    """From and to, where a client asks for one part of these very bytes; other forms of Range are ignored, as they may be."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    condition = request.headers.get("If-Range")
    if not found or request.method != "GET" or condition not in (None, f'"{source.etag}"'):
        return None
    first, last = found.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        return int(first), min(int(last) + 1, source.size) if last else source.size
    return max(0, source.size - int(last)), source.size


async def _send_data(request: web.Request, response: web.StreamResponse, data: memoryview) -> None:
    await response.prepare(request)
    for start in range(0, len(data), CHUNK):
        await _in_time(response.write(data[start : start + CHUNK]))
    await _in_time(response.write_eof())


async def _send_file(request: web.Request, response: web.StreamResponse, path: Path, start: int, end: int) -> None:
    fd = await asyncio.to_thread(os.open, path, os.O_RDONLY)
    try:
        await response.prepare(request)
        while start < end:
            part = await asyncio.to_thread(os.pread, fd, min(CHUNK, end - start), start)
            if not part:
                raise ConnectionAbortedError(f"{path} ended early")
            await _in_time(response.write(part))
            start += len(part)
        await _in_time(response.write_eof())
    finally:
        os.close(fd)


async def _in_time(write: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(STALL_SECONDS):
            await write
    except TimeoutError:
        raise ConnectionAbortedError("the client does not read") from None
