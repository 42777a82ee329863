"""What interpreters are made of, as a broker offers it to tabs: the same Pyodide, snapshot and guest. Standard library only.

The broker's native.json names each piece with its digest; it goes through the cache, as blobs do. Then they are kept in memory
that nobody can change any more, of which every interpreter reads.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterable
from http.client import HTTPException
from typing import Any
from urllib.request import ProxyHandler, build_opener

from ...errors import HostFault, TaskFault, UsageError
from ..storage import SILENCE, Storage

NAMES = ("script", "module", "snapshot", "stdlib", "lock")
"""In the order in which boot.cjs takes them."""
MAX_LIST = 64 << 10
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Pieces:
    """Descriptors of all of them, for as long as this lives. `refs` are their digests: equal refs, equal pieces."""

    def __init__(self, refs: tuple[str, ...], blobs: list[bytes]) -> None:
        self.refs = refs
        self.descriptors: list[int] = []
        weakref.finalize(self, _close, self.descriptors)
        for blob in blobs:
            self._add(blob)

    def bake(self, blobs: Iterable[bytes]) -> None:
        """Add what V8 has compiled of the module and of the script."""
        self.unbake()
        for blob in blobs:
            self._add(blob)

    def unbake(self) -> None:
        """As before."""
        while len(self.descriptors) > len(NAMES):
            os.close(self.descriptors.pop())

    def _add(self, blob: bytes) -> None:
        descriptor = os.memfd_create("piece", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.descriptors.append(descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(blob)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def offered(base: str) -> dict[str, tuple[str, str]]:
    """(path below static/vendor/, ref) of each piece that the broker at `base` has now. Blocks.

    Raises UsageError, in words for who runs the provider, when it offers none.
    """
    url = f"{base}/static/vendor/native.json"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=SILENCE) as answer:
            native = json.loads(answer.read(MAX_LIST))
        found = {name: (str(native[name][0]), str(native[name][1])) for name in NAMES}
    except (OSError, HTTPException, ValueError) as error:
        raise UsageError(f"the broker has no Pyodide for us: {url}: {error}") from None
    except (LookupError, TypeError):
        raise UsageError("the broker has no Pyodide for native providers: it is of another make, or older") from None
    return found


def load(base: str, found: dict[str, tuple[str, str]], storage: Storage) -> Pieces:
    """Fetch what the cache has not got. Blocks. Raises UsageError."""
    try:
        blobs = [storage.get(ref, f"{base}/static/vendor/{path}") for path, ref in map(found.__getitem__, NAMES)]
    except (TaskFault, HostFault, OSError) as error:
        raise UsageError(f"Pyodide could not be fetched from the broker: {error}") from None
    return Pieces(refs_of(found), blobs)


def refs_of(found: dict[str, tuple[str, Any]]) -> tuple[str, ...]:
    return tuple(found[name][1] for name in NAMES)
