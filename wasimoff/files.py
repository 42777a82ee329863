"""Local files that tasks need: uploaded once, and again when they changed. Imports `storage`."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from .errors import UsageError
from .source import locate
from .storage import Storage
from .task import Source

KNOWN = 1024
"""Local files whose refs are remembered, least recently used forgotten first."""


class Files:
    """Uploads each local file once, as long as it does not change; a folder once in its life."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._refs: OrderedDict[Hashable, str] = OrderedDict()
        self._uploading = asyncio.Lock()

    async def ref(self, source: Source) -> str:
        """A ref or alias for `Task` messages; uploads what is local and not yet there. Raises UsageError, BrokerError."""
        local = locate(source)
        if isinstance(local, str):
            return local
        key = _key(local)
        if (known := self._known(key)) is not None:
            return known
        async with self._uploading:
            if (known := self._known(key)) is not None:
                return known
            ref = await self._storage.upload(local)
            self._refs[key] = ref
            if len(self._refs) > KNOWN:
                self._refs.popitem(last=False)
            return ref

    def _known(self, key: Hashable) -> str | None:
        if key not in self._refs:
            return None
        self._refs.move_to_end(key)
        return self._refs[key]

    def forget(self, source: Source | None) -> bool:
        """The broker lost it: upload it again next time. Gives whether it is ours to upload."""
        local = locate(source) if source is not None else ""
        return not isinstance(local, str) and self._refs.pop(_key(local), None) is not None


def _key(local: Path | bytes) -> Hashable:
    if isinstance(local, bytes):
        return local
    try:
        entry = local.stat()
    except OSError as error:
        raise UsageError(f"can't read {str(local)!r}: {error.strerror or error}") from None
    if local.is_dir():
        return os.path.abspath(local)
    return os.path.abspath(local), entry.st_mtime_ns, entry.st_size, entry.st_ino
