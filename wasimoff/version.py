"""What the broker is, asked once: `GET /api/version`. Imports aiohttp and the wire's level."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from pyodide_provider.wire import codec

from . import dial


class Version:
    """Whether the broker understands this project's own fields and messages; if in doubt, it doesn't."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._asking = asyncio.Lock()
        self._extension: bool | None = None

    async def extension(self) -> bool:
        """Asks when that isn't known yet; an answer that fails to come is asked for again next time."""
        async with self._asking:
            if self._extension is None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError, OSError):
                    self._extension = await self._ask()
            return bool(self._extension)

    async def _ask(self) -> bool:
        async with self._session.get(f"{self._url}/api/version", timeout=dial.SHORT) as response:
            document = await response.json(content_type=None)
        return isinstance(document, dict) and document.get("extension", 0) == codec.EXTENSION
