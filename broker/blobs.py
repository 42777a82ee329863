"""Blobs by digest and by name: looked up at once, taken in without blocking, evicted when room is needed.

Imports the store's modules, settings and errors. All methods belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from broker.errors import Refused, StorageFull, TooLarge, UsageError
from broker.settings import Settings
from broker.store.catalogue import Blob, Catalogue
from broker.store.content import HEAD, check_name, media_type
from broker.store.disk import DiskStore
from broker.store.memory import MemoryStore
from broker.store.store import Incoming, Store

__all__ = ["Blob", "Blobs"]

log = logging.getLogger("broker")

T = TypeVar("T")

MAX_BLOBS = 100_000
MAX_NAMES = 100_000
KEEP_SECONDS = 3600.0
"""A blob that was used so recently is not evicted: a task may be on its way to it."""
BATCH = 1 << 20
"""Bytes gathered before they go to a thread to be hashed and written."""
SMALL = 1 << 16
"""Bytes hashed faster than a thread is reached."""


class Blobs:
    """`await Blobs.open(settings)`, then `await blobs.close()` at the end."""

    def __init__(self, store: Store, catalogue: Catalogue, max_upload: int) -> None:
        self._store = store
        self._catalogue = catalogue
        self._max_upload = max_upload
        self._arriving = 0
        """Bytes of uploads that are not kept yet."""
        self._threads = ThreadPoolExecutor(4, "blobs")
        self._lock = asyncio.Lock()
        self._commits: set[asyncio.Task[Blob]] = set()
        self._discards: set[asyncio.Future[None]] = set()

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        max_blobs: int = MAX_BLOBS,
        max_names: int = MAX_NAMES,
        keep_seconds: float = KEEP_SECONDS,
    ) -> Blobs:
        """Load what is there. Raises UsageError when the data directory can't be used."""
        store: Store = MemoryStore() if settings.filestorage is None else DiskStore(settings.filestorage)
        catalogue = Catalogue(
            max_bytes=settings.storage_limit, max_blobs=max_blobs, max_names=max_names, keep_seconds=keep_seconds
        )
        blobs = cls(store, catalogue, settings.max_upload)
        try:
            held, names = await blobs._in_thread(store.open)
        except (UsageError, Refused) as error:
            blobs._threads.shutdown(wait=False)
            raise error if isinstance(error, UsageError) else UsageError(error.message) from None
        for blob, used in held:
            catalogue.add(blob, used)
        for name, ref in names.items():
            catalogue.name(name, ref)
        return blobs

    async def close(self) -> None:
        """Finish what is being kept, write down what was used, let go of the data directory."""
        await asyncio.gather(*self._commits, *self._discards, return_exceptions=True)
        async with self._lock:
            try:
                await self._in_thread(self._store.touch, self._catalogue.take_touched())
            except Refused as error:
                log.warning("%s", error.message)
            await self._in_thread(self._store.close)
        self._threads.shutdown()

    def resolve(self, name: str) -> str | None:
        """The ref that a ref or a name stands for, if it is here. It then stays for an hour at least."""
        return self._catalogue.resolve(name, time.time())

    def blob(self, ref: str) -> Blob | None:
        return self._catalogue.get(ref, time.time())

    @property
    def held_bytes(self) -> int:
        return self._catalogue.bytes

    def __len__(self) -> int:
        return len(self._catalogue)

    async def read(self, blob: Blob, use: Callable[[bytes], T]) -> T:
        """All of a blob's bytes, used in a thread. Raises Refused when they can't be read."""
        return await self._in_thread(lambda: use(blob.path.read_bytes() if blob.path else blob.data or b""))

    async def put(self, data: bytes, media: str | None = None, name: str | None = None, *, anything: bool = False) -> Blob:
        """Keep bytes that are in memory already; what they are is told by themselves, not by `media`.

        With `anything` they need not be a module or a zip. Raises UnsupportedMedia, TooLarge, StorageFull, and Refused for a
        name that can't be used.
        """
        if name is not None:
            check_name(name)
        if len(data) > self._max_upload:
            raise self._too_large(f"{len(data)} bytes are")
        media = media_type(data[:HEAD], anything)
        small = len(data) <= SMALL
        digest = hashlib.sha256(data).hexdigest() if small else await self._in_thread(_digest, data)
        ref = f"sha256:{digest}"
        if name is None:
            known = self.blob(ref)
            if known is not None:
                return known
        incoming = None
        if self.blob(ref) is None:
            incoming = self._store.incoming()
            try:
                await self._in_thread(_fill, incoming, data)
            except BaseException:
                self._discard(incoming)
                raise
        return await self._keep(incoming, Blob(ref, media, len(data), time.time()), name)

    async def receive(
        self, stream: AsyncIterable[bytes], name: str | None = None, length: int | None = None, *, anything: bool = False
    ) -> Blob:
        """Keep bytes as they arrive; `length` is what the sender says they will be.

        Raises what `put` raises, as early as can be, and whatever `stream` raises; then nothing is kept.
        """
        if name is not None:
            check_name(name)
        if length is not None and length > self._max_upload:
            raise self._too_large(f"{length} bytes are")
        incoming = self._store.incoming()
        arrival = _Arrival(self, incoming, anything)
        try:
            try:
                async for chunk in stream:
                    await arrival.take(chunk)
                blob = await arrival.finish()
            except BaseException:
                self._discard(incoming)
                raise
            return await self._keep(incoming, blob, name)
        finally:
            self._arriving -= arrival.size

    def _admit(self, size: int, total: int) -> None:
        """Let `size` more bytes of an upload in, which makes it `total`."""
        self._arriving += size
        if total > self._max_upload:
            raise self._too_large("this is")
        # One upload beyond the limit may arrive before we know that it is here already, or what must make room for it.
        if self._arriving > self._max_upload + max(0, self._catalogue.max_bytes - self._catalogue.bytes):
            raise StorageFull("too many uploads at a time for the room that is left: try again in a while")

    def _too_large(self, what: str) -> TooLarge:
        text = f"{what} too much: a file may have {self._max_upload} bytes; the operator can raise WASIMOFF_MAX_UPLOAD"
        return TooLarge(text)

    async def _keep(self, incoming: Incoming | None, blob: Blob, name: str | None) -> Blob:
        """Shielded: what is being kept is kept, also when the one who asked goes away."""
        commit = asyncio.create_task(self._commit(incoming, blob, name))
        self._commits.add(commit)
        commit.add_done_callback(self._committed)
        return await asyncio.shield(commit)

    def _committed(self, commit: asyncio.Task[Blob]) -> None:
        self._commits.discard(commit)
        if not commit.cancelled():
            commit.exception()

    async def _commit(self, incoming: Incoming | None, blob: Blob, name: str | None) -> Blob:
        catalogue = self._catalogue
        try:
            async with self._lock:
                now = time.time()
                if name is not None:
                    catalogue.check_name(name)
                if blob.ref not in catalogue:
                    if incoming is None:
                        raise Refused("unavailable", "the file had to make room just now: send it again")
                    await self._in_thread(self._store.remove, catalogue.make_room(blob.size, now))
                kept = await self._in_thread(self._store.keep, incoming, catalogue.get(blob.ref, now) or blob, name, now)
                catalogue.add(kept, now)
                if name is not None:
                    catalogue.name(name, kept.ref)
                await self._in_thread(self._store.touch, catalogue.take_touched())
                return kept
        except BaseException:
            if incoming is not None:
                self._discard(incoming)
            raise

    def _discard(self, incoming: Incoming) -> None:
        done = asyncio.get_running_loop().run_in_executor(self._threads, incoming.discard)
        self._discards.add(done)
        done.add_done_callback(self._discards.discard)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Raises StorageFull and Refused for what a disk can have."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except (OSError, sqlite3.Error) as error:
            log.error("the storage fails: %s", error)
            if getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT) or "is full" in str(error):
                raise StorageFull("the broker's disk is full: try later, or tell the operator") from None
            raise Refused("internal", "the broker's storage fails; its log says why") from None


class _Arrival:
    """One upload on its way in: counted, told apart and written batch by batch."""

    def __init__(self, blobs: Blobs, incoming: Incoming, anything: bool) -> None:
        self._blobs = blobs
        self._incoming = incoming
        self._anything = anything
        self._batch: list[bytes] = []
        self._batched = 0
        self._media = ""
        self.size = 0

    async def take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._batch.append(chunk)
        self._batched += len(chunk)
        self._blobs._admit(len(chunk), self.size)
        if not self._media and self.size >= HEAD:
            self._media = media_type(b"".join(self._batch), self._anything)
        if self._batched >= BATCH:
            await self._write()

    async def _write(self) -> None:
        batch, self._batch, self._batched = self._batch, [], 0
        await self._blobs._in_thread(self._incoming.write, b"".join(batch))

    async def finish(self) -> Blob:
        if not self._media:
            self._media = media_type(b"".join(self._batch), self._anything)
        if self._batch or not self.size:
            await self._write()
        ref = await self._blobs._in_thread(self._incoming.finish)
        return Blob(ref, self._media, self.size, time.time())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fill(incoming: Incoming, data: bytes) -> None:
    incoming.write(data)
    incoming.finish()
