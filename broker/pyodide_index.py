"""Pyodide's own packages: what its lock file lists, and their bytes, checked against it. Imports errors, packaging, aiohttp.

The lock file of Pyodide's public index came with Pyodide itself, at the digest that package-lock.json names; any other index
brings its own (`pyodide-lock.json`, as made by Pyodide's tools).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import html
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from broker.errors import BrokerError

LOCK = "pyodide-lock.json"
MOST_LOCK = 16 << 20
"""Bytes of a lock file."""
PATIENCE = aiohttp.ClientTimeout(total=120, connect=5, sock_connect=5, sock_read=10)
CHUNK = 1 << 18
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""How a disk says that there is no room."""
FILE = re.compile(r"[A-Za-z0-9_.+-]{1,200}\.(?:whl|zip)", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Unusable(BrokerError):
    """The index, or something of it, can't be had as its lock says: the text names what, where and why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A package of a lock file. `library`: a shared library for others, not in site-packages."""

    name: str
    version: str
    address: str
    sha256: str
    depends: tuple[str, ...]
    library: bool

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]


class Distribution:
    """What a lock file lists, by name. Pure."""

    def __init__(self, packages: Mapping[str, Listed]) -> None:
        self.packages = packages
        self.by_digest = {listed.sha256: listed for listed in packages.values()}

    @classmethod
    def parse(cls, text: bytes, python: str, abi: str) -> Distribution:
        """Raises ValueError for what is no lock file, or one of another Pyodide than tasks run in."""
        lock = json.loads(text)
        try:
            info, entries = lock["info"], lock["packages"].values()
            packages: dict[str, Listed] = {canonicalize_name(entry["name"]): _listed(entry) for entry in entries}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is no lock file of Pyodide: {type(error).__name__} {error}") from None
        if not str(info.get("python", "")).startswith(f"{python}.") or info.get("abi_version", abi) != abi:
            raise ValueError(
                f"it is for Python {info.get('python')}, ABI {info.get('abi_version')}; tasks run {python}, ABI {abi}"
            )
        return cls(packages)

    def match(self, requirement: Requirement) -> Listed | None:
        """The package that is asked for; None where it isn't listed in such a version, or an extra is asked for."""
        found = self.packages.get(canonicalize_name(requirement.name))
        if found is None or requirement.extras or not requirement.specifier.contains(found.version, prereleases=True):
            return None
        return found

    def closure(self, names: Iterable[str]) -> dict[str, Listed]:
        """Packages and all they need, by name; what is needed and isn't listed is left out."""
        found: dict[str, Listed] = {}
        todo: list[str] = [canonicalize_name(name) for name in names]
        while todo:
            name = todo.pop()
            if name not in found and name in self.packages:
                found[name] = self.packages[name]
                todo += self.packages[name].depends
        return found


def _listed(entry: Mapping[str, Any]) -> Listed:
    name, version, address, digest = (str(entry[key]) for key in ("name", "version", "file_name", "sha256"))
    if not _DIGEST.fullmatch(digest) or not FILE.fullmatch(address.rpartition("/")[2]):
        raise ValueError(f"its entry of {name[:100]} has no usable file name and sha256")
    depends = tuple(canonicalize_name(str(needed)) for needed in entry.get("depends", ()))
    return Listed(name, version, address, digest, depends, entry.get("install_dir") == "dynlib")


class PyodideIndex:
    """An index at `place`, a URL or a folder. `shipped`: the lock file to go by, unless the index's own is to be asked for."""

    def __init__(self, place: str, python: str, abi: str, shipped: Path | None = None) -> None:
        self.place = place
        self._url = place if _remote(place) else ""
        self._wanted = (python, abi)
        self._shipped = shipped
        self._distribution: Distribution | None = None

    async def distribution(self) -> Distribution:
        """What there is; read once. Raises Unusable."""
        if self._distribution is None:
            where = str(self._shipped) if self._shipped else self.address(LOCK)
            try:
                text = bytearray()
                async for part in _read(where):
                    text += part
                    if len(text) > MOST_LOCK:
                        raise ValueError(f"it has more than {MOST_LOCK} bytes")
                self._distribution = await asyncio.to_thread(Distribution.parse, bytes(text), *self._wanted)
            except (OSError, aiohttp.ClientError, ValueError) as error:
                raise Unusable(f"{where} can't be used: {_words(error)}") from None
        return self._distribution

    def address(self, file: str) -> str:
        """Where a file is, as a URL or a path."""
        return urljoin(self._url.rstrip("/") + "/", file) if self._url else str(Path(self.place) / file)

    async def fetch(self, listed: Listed, target: Path, spend: Callable[[int], None]) -> None:
        """Its bytes into a file. `spend` hears of them before they are written.

        Raises Unusable, what `spend` raises, and OSError when our own disk is full.
        """
        digest = hashlib.sha256()
        where = self.address(listed.address)
        try:
            with open(target, "wb") as file:  # noqa: ASYNC230 - blocks no longer than a write to the page cache
                async for part in _read(where):
                    spend(len(part))
                    digest.update(part)
                    file.write(part)
        except (OSError, aiohttp.ClientError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            raise Unusable(f"{where} can't be had: {_words(error)}") from None
        if digest.hexdigest() != listed.sha256:
            raise Unusable(f"{where} has another digest than Pyodide's lock file says")

    def links(self, distribution: Distribution, kept: Mapping[str, Path]) -> str:
        """A page of its wheels that pip can look at (`--find-links`), with digests. `kept`: those that are here, by digest."""
        lines = []
        for listed in distribution.packages.values():
            if listed.file.endswith(".whl"):
                here = kept.get(listed.sha256) or (None if self._url else Path(self.address(listed.address)).absolute())
                url = here.as_uri() if here else self.address(listed.address)
                lines.append(f'<a href="{html.escape(url)}#sha256={listed.sha256}">{html.escape(listed.file)}</a>')
        return "<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>\n"


def _remote(place: str) -> bool:
    return place.startswith(("http://", "https://"))


async def _read(where: str) -> AsyncIterator[bytes]:
    """Raises OSError (a TimeoutError is one), ClientError."""
    if not _remote(where):
        with await asyncio.to_thread(open, where, "rb") as content:
            while part := await asyncio.to_thread(content.read, CHUNK):
                yield part
        return
    async with aiohttp.ClientSession(timeout=PATIENCE, trust_env=True) as session, session.get(where) as answer:
        answer.raise_for_status()
        async for part in answer.content.iter_chunked(CHUNK):
            yield part


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is {error.status} {error.message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
