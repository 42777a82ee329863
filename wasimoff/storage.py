"""Files on their way to the broker: hashed and streamed from disk, and only when it lacks them. Imports aiohttp.

Memory: one chunk at a time, whatever the file's size.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path
from typing import IO

import aiohttp

from . import archive, dial
from .address import storage_path
from .connect import error_of, read_bounded
from .errors import BrokerError, BrokerUnavailable, UsageError
from .kept import Kept
from .source import REF

CHUNK = 2**20
DATA = "application/octet-stream"
PATIENT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
"""For downloads: however long they take, but not silent."""
Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and those in all."""


class Storage:
    """The broker's storage, as a client sees it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def upload(
        self, source: Path | bytes, name: str | None = None, progress: Progress | None = None, *, data: bool = False
    ) -> str:
        """Store a file, a folder (packed as a zip) or bytes; gives the ref. `name` becomes an alias of it.

        `data`: it may be anything, not only wasm and zip; for brokers of this project only. Nothing is sent when the broker
        has these bytes under this name already. Raises UsageError when the source can't be read, BrokerError when the broker
        does not take it (neither wasm nor zip, too large …).
        """
        with closing(await asyncio.to_thread(_open, source)) as content:
            size = content.seek(0, io.SEEK_END)
            content.seek(0)
            ref = await asyncio.to_thread(_digest, content)
            if await self.stored(name or ref) == ref:
                if progress is not None:
                    progress(size, size)
                return ref
            content.seek(0)
            params = {"name": name} if name else {}
            stored = await self._send(content, size, params | ({"media": DATA} if data else {}), progress)
        if stored != ref:
            raise BrokerError(f"{_called(source)} changed while it was uploaded: stored as {stored}", "aborted")
        return ref

    async def stored(self, name: str) -> str | None:
        """The ref that the broker has under a ref or alias; None: it has none."""
        with dial.in_words(self._url):
            async with self._session.head(self._url + storage_path(name), timeout=dial.SHORT) as response:
                return response.headers.get("X-Wasimoff-Ref", name) if response.status == 200 else None

    async def fetch(self, ref: str, limit: int) -> Kept:
        """The file of a ref, its digest checked. Raises BrokerError when there is none, it is another or too large."""
        if not REF.match(ref):
            raise BrokerError(f"{ref[:80]!r} is no ref", "internal")
        kept = Kept()
        try:
            with dial.in_words(self._url):
                async with self._session.get(self._url + storage_path(ref), timeout=PATIENT) as response:
                    if response.status != 200:
                        raise error_of(response, await read_bounded(response, 2**16))
                    digest = await _receive(response, kept, limit)
        finally:
            kept.done()
        if digest != ref:
            raise BrokerError(f"the broker gave other bytes than those of {ref}", "data_loss")
        return kept

    async def _send(self, content: IO[bytes], size: int, params: dict[str, str], progress: Progress | None) -> str:
        headers = {"Content-Type": DATA, "Content-Length": str(size)}
        url = f"{self._url}/api/storage/upload"
        shortened: list[UsageError] = []
        body = _chunks(content, size, progress, shortened)
        try:
            with dial.in_words(self._url):
                async with self._session.post(url, params=params, data=body, headers=headers) as response:
                    answer = await read_bounded(response, 2**16)
                    if response.status != 200:
                        raise error_of(response, answer)
        except BrokerUnavailable as error:
            if shortened:
                raise shortened[0] from None
            raise BrokerUnavailable(f"{error} (during an upload of {size} bytes: is that more than it takes?)") from None
        finally:
            await body.aclose()
        ref = (response.headers.get("X-Wasimoff-Ref") or answer.decode("ascii", "replace")).strip()
        if not REF.match(ref):
            raise BrokerError(f"the broker answered an upload with {ref[:80]!r}, not with a ref", "internal")
        return ref


async def _receive(response: aiohttp.ClientResponse, kept: Kept, limit: int) -> str:
    """The body into `kept`; gives its ref. Raises BrokerError when it is longer than `limit` bytes."""
    digest = hashlib.sha256()

    def take(chunk: bytes) -> None:
        digest.update(chunk)
        kept.write(chunk)

    if (response.content_length or 0) > limit:
        raise _too_large(response.content_length or 0, limit)
    async for chunk in response.content.iter_chunked(CHUNK):
        if kept.size + len(chunk) > limit:
            raise _too_large(kept.size + len(chunk), limit)
        await asyncio.to_thread(take, chunk)
    return f"sha256:{digest.hexdigest()}"


def _too_large(size: int, limit: int) -> BrokerError:
    return BrokerError(
        f"it has {size} bytes or more, and {limit} are left of what the client takes (max_download)", "out_of_range"
    )


async def _chunks(
    content: IO[bytes], size: int, progress: Progress | None, shortened: list[UsageError]
) -> AsyncGenerator[bytes]:
    """Exactly `size` bytes. Raises UsageError when there are fewer, and leaves it in `shortened`."""
    sent = 0
    while sent < size:
        chunk = await asyncio.to_thread(content.read, min(CHUNK, size - sent))
        if not chunk:
            shortened.append(UsageError("the file became shorter while it was uploaded"))
            raise shortened[0]
        yield chunk
        sent += len(chunk)
        if progress is not None:
            progress(sent, size)


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _open(source: Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        if not source.is_dir():
            return source.open("rb")
    except OSError as error:
        raise UsageError(f"can't read {str(source)!r}: {error.strerror or error}") from None
    packed = tempfile.SpooledTemporaryFile(max_size=8 * 2**20)  # noqa: SIM115  (the caller closes it)
    archive.pack(source, packed)
    return packed


def _called(source: Path | bytes) -> str:
    return "the content" if isinstance(source, bytes) else repr(str(source))
