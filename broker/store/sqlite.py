"""The index of blobs and names in SQLite. Standard library, the catalogue's Blob and the errors. Blocks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from broker.errors import UsageError

T = TypeVar("T")

VERSION = 1
"""Of the schema, in the file's user_version."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    media TEXT NOT NULL,
    size INTEGER NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL REFERENCES blobs ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX names_by_digest ON names (digest);
PRAGMA user_version = {VERSION};
COMMIT;
"""

Row = tuple[str, str, int, float, float]
"""digest, media, size, created, used"""


class Index:
    """One process at a time; calls may come from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises UsageError when another process has it, or it can't be read."""
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise UsageError(f"{path} can't be opened: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                raise UsageError(f"another broker uses {path.parent}: set WASIMOFF_FILESTORAGE to another one") from None
            text = f"{path} can't be read ({error}): move it away to go on with the files but without their names"
            raise UsageError(text) from None
        except UsageError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        # Exclusive, from the first read on: a second broker here would evict files that this one believes to have.
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise UsageError(f"{self._path} was written by a newer wasimoff (its version is {version}, we know {VERSION})")
        if version == 0:
            self._db.executescript(_SCHEMA)

    def blobs(self) -> list[Row]:
        """All rows, least recently used first."""
        return self._db.execute("SELECT digest, media, size, created, used FROM blobs ORDER BY used").fetchall()

    def names(self) -> dict[str, str]:
        """Digests by name."""
        return dict(self._db.execute("SELECT name, digest FROM names"))

    def put(self, rows: Sequence[Row], names: Iterable[tuple[str, str]] = ()) -> None:
        """Blobs and names (name, digest) in one transaction; what is there already is overwritten."""
        self._together(lambda: self._put(rows, names))

    def _put(self, rows: Sequence[Row], names: Iterable[tuple[str, str]]) -> None:
        self._db.executemany(
            "INSERT INTO blobs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET media = excluded.media, "
            "size = excluded.size, used = excluded.used",
            rows,
        )
        self._db.executemany("INSERT INTO names VALUES (?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest", names)

    def remove(self, digests: Iterable[str]) -> None:
        """Blobs, and the names that point to them."""
        self._many("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in digests])

    def touch(self, used: Iterable[tuple[float, str]]) -> None:
        """Times of last use, by digest."""
        self._many("UPDATE blobs SET used = ? WHERE digest = ?", list(used))

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._together(lambda: self._db.executemany(statement, rows))

    def _together(self, work: Callable[[], T]) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            done = work()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return done

    def close(self) -> None:
        self._db.close()
