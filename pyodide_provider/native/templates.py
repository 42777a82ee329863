"""Unpacked archives of one provider: made by the slot that wants one first, copied by all. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..core.run import File
from . import trees
from .blob_cache import BlobCache, ref_of
from .rootfs import unpack
from .storage import Storage

Layers = tuple[tuple[str, File], ...]
"""Zips and the absolute paths they are mounted at; later ones cover earlier ones."""

KEPT_BYTES = 1 << 30
"""Of unpacked archives; the least recently used go first."""
FILES, SIZE = "files", "size"


class Sizes(NamedTuple):
    """Bytes of all files, and of the archives."""

    unpacked: int
    packed: int


def key_of(layers: Layers) -> str:
    named = [(path, file.ref or ref_of(file.blob or b"")) for path, file in layers]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


class Templates:
    """Folders below `folder`, each with `files` as they were unpacked, and their `size`. `limit` bytes may one have."""

    def __init__(self, folder: Path, cache: BlobCache, storage: Storage, limit: int) -> None:
        self._folder = folder
        self._cache = cache
        self._storage = storage
        self._limit = limit
        folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def held(self, key: str, layers: Layers = ()) -> Iterator[tuple[str, Sizes]]:
        """(folder, sizes) of unpacked layers that no other slot removes meanwhile; without layers nothing is unpacked.

        Raises TaskFault, HostFault or OSError.
        """
        with self._cache.lock("unpack", key):
            place = self._folder / key
            sizes = self._sizes(place)
            if sizes is None:
                if not layers:
                    raise FileNotFoundError(f"{key} is not unpacked any more")
                sizes = self._make(place, layers)
            yield str(place / FILES), sizes

    def _make(self, place: Path, layers: Layers) -> Sizes:
        trees.remove(str(place))
        place.mkdir(mode=0o700)
        with ExitStack() as stack:
            opened = [(path, stack.enter_context(self._open(file))) for path, file in layers]
            try:
                packed = sum(archive.seek(0, os.SEEK_END) for _, archive in opened)
                size = unpack(opened, str(place / FILES), self._limit)
            except BaseException:
                trees.remove(str(place))
                raise
        (place / SIZE).write_text(f"{size} {packed}")
        self._evict(place.name)
        return Sizes(size, packed)

    def _open(self, file: File) -> BinaryIO:
        return self._storage.open(file.ref) if file.blob is None else BytesIO(file.blob)

    def _sizes(self, place: Path) -> Sizes | None:
        """None when it isn't there, or not whole."""
        try:
            unpacked, packed = (place / SIZE).read_text().split()
        except (OSError, ValueError):
            return None
        os.utime(place)
        return Sizes(int(unpacked), int(packed))

    def _evict(self, newest: str) -> None:
        kept = []
        for place in self._folder.iterdir():
            with suppress(OSError, ValueError):
                kept.append((place.stat().st_mtime, place, int((place / SIZE).read_text().split()[0])))
        total = sum(size for _, _, size in kept)
        for _, place, size in sorted(kept):
            if total <= KEPT_BYTES:
                return
            # What another slot copies from right now stays.
            with suppress(BlockingIOError):
                if place.name != newest:
                    with self._cache.lock("unpack", place.name, wait=False):
                        trees.remove(str(place))
                    total -= size
