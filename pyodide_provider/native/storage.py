"""The broker's blobs, by digest, through the cache. Standard library only: a worker imports this, and starts fast."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import HostFault, TaskFault
from .blob_cache import MAX_BLOB, BlobCache

SILENCE = 30.0
"""Seconds without a byte after which a download is given up."""
CHUNK = 1 << 20
Blob = TypeVar("Blob", bytes, BinaryIO)


class Storage:
    """Blobs of the broker whose storage is at `url`."""

    def __init__(self, url: str, cache: BlobCache) -> None:
        self._url = url
        self._cache = cache

    def get(self, ref: str, url: str = "") -> bytes:
        """A blob whose digest is right, fetched if it is not in the cache; of slots that want it at once, one fetches.

        `url` is where it is when it is no blob of the storage, but something else that the broker offers by its digest.

        Raises TaskFault when there is no such blob or it is too large, HostFault when it can't be had now or its bytes
        are not those of the digest.
        """
        return self._had(ref, self._cache.get, url)

    def open(self, ref: str) -> BinaryIO:
        """The same, to be read in parts."""
        return self._had(ref, self._cache.open)

    def _had(self, ref: str, get: Callable[[str], Blob | None], url: str = "") -> Blob:
        kept = get(ref)
        if kept is None:
            with self._cache.lock("fetch", ref):
                kept = get(ref)
                if kept is None:
                    self._fetch(ref, url or f"{self._url}/{ref}")
                    kept = get(ref)
        if kept is None:
            raise HostFault(f"{ref} was fetched, but the cache lost it: is it too small?")
        return kept

    def upload(self, file: BinaryIO, size: int) -> str:
        """Store the `size` bytes of a file; gives their ref. Raises TaskFault when they are too many, HostFault."""
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        parts = urlsplit(self._url)
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = connect(parts.netloc, timeout=SILENCE, blocksize=CHUNK)
        hashing = _Hashing(file)
        try:
            path = f"{parts.path}/upload?media=application/octet-stream"
            connection.request("POST", path, cast(Any, hashing), {"Content-Length": str(size)})
            answer = connection.getresponse()
            said = answer.read(1000).decode("utf-8", "replace").strip()
        except (OSError, HTTPException) as error:
            raise HostFault(f"output could not be stored at {self._url}: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status == 413:
            raise TaskFault(f"the output is too large to be stored: {size} bytes; {said[:300]}")
        if answer.status != 200:
            raise HostFault(f"output could not be stored: {self._url} answered {answer.status} {answer.reason}")
        if said != hashing.ref:
            raise HostFault(f"output was stored as {said[:80]}, but it is {hashing.ref}")
        return said

    def _fetch(self, ref: str, url: str) -> None:
        # Imported here: it takes as long as all else of a worker's start together, and a warm cache needs none of it.
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import ProxyHandler, build_opener

        try:
            with build_opener(ProxyHandler({})).open(url, timeout=SILENCE) as answer, self._cache.adding(ref) as path:
                _save(answer, ref, path)
        except HTTPError as error:
            if error.code == 404:
                raise TaskFault(f"Ref not found in storage: {ref}") from None
            raise HostFault(f"{ref} could not be fetched: {url} answered {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise HostFault(f"{ref} could not be fetched from {url}: {reason or type(error).__name__}") from None


class _Hashing:
    """A file whose digest is taken while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, count: int) -> bytes:
        chunk = self._file.read(count)
        self._digest.update(chunk)
        return chunk

    @property
    def ref(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def _save(answer: IO[bytes], ref: str, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        while chunk := answer.read(CHUNK):
            size += len(chunk)
            if size > MAX_BLOB:
                raise TaskFault(f"{ref} is too large: more than {MAX_BLOB} bytes")
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != ref.removeprefix("sha256:"):
        raise HostFault(f"{ref} was fetched, but its bytes are sha256:{digest.hexdigest()}")
