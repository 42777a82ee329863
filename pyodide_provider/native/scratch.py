"""A folder of one provider's life, for its slots; those of providers that were killed are swept. Standard library only."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from . import trees

LOCK = "in-use"


class Scratch:
    """A new folder below `parent`. A lock in it tells others that its owner lives, for as long as it does."""

    def __init__(self, parent: Path) -> None:
        """Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        trees.remove(str(self.path))
        os.close(self._lock)


def sweep(parent: Path) -> None:
    """Remove the folders whose owners are gone."""
    for folder in parent.iterdir():
        with suppress(OSError):
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                trees.remove(str(folder))
            finally:
                os.close(lock)
