"""The files that a task's packages need: the broker finds them, the cache keeps them by digest. Standard library only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from ...errors import HostFault, TaskFault
from ..storage import Storage

PATIENCE = 180.0
"""Seconds that the broker may take to find packages: it may have to fetch them itself."""
REMEMBERED = 64
MAX_ANSWER = 1 << 20
BUSY = 429


@dataclass(frozen=True, slots=True)
class Files:
    """Wheels, and zips of shared libraries."""

    wheels: tuple[bytes, ...] = ()
    libraries: tuple[bytes, ...] = ()


class Packages:
    """Of the broker at `base`. All of it blocks, and may be called from several threads."""

    def __init__(self, base: str, storage: Storage) -> None:
        self._base = f"{base}/api/python"
        self._storage = storage
        self._resolved: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def get(self, requirements: tuple[str, ...]) -> Files:
        """Raises TaskFault when there is no such package, HostFault when it can't be had now."""
        if not requirements:
            return Files()
        key = tuple(sorted(requirements))
        known = self._resolved.get(key)
        if known is not None:
            try:
                return self._files(known)
            except (TaskFault, HostFault):
                self._resolved.pop(key, None)  # the broker may have made room for others since
        found = self._resolve(requirements)
        files = self._files(found)
        if len(self._resolved) >= REMEMBERED:
            self._resolved.clear()
        self._resolved[key] = found
        return files

    def _resolve(self, requirements: tuple[str, ...]) -> list[dict[str, Any]]:
        url = f"{self._base}/resolve?{urlencode([('package', requirement) for requirement in requirements])}"
        try:
            asked = Request(url, headers={"Accept": "application/json"})
            with build_opener(ProxyHandler({})).open(asked, timeout=PATIENCE) as answer:
                found: list[dict[str, Any]] = json.loads(answer.read(MAX_ANSWER))["wheels"]
            return found
        except HTTPError as error:
            with error:
                text = _message(error.read(MAX_ANSWER))
            # Another provider would ask the same broker; only when it is too busy may it say otherwise then.
            if text and error.code != BUSY:
                raise TaskFault(text) from None
            raise HostFault(text or f"the broker answered {error.code} to a question for packages") from None
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise HostFault(f"the broker can't be asked for packages: {error}") from None

    def _files(self, named: list[dict[str, Any]]) -> Files:
        wheels: list[bytes] = []
        libraries: list[bytes] = []
        for file in named:
            (libraries if file.get("library") is True else wheels).append(self._file(str(file["name"]), str(file["sha256"])))
        return Files(tuple(wheels), tuple(libraries))

    def _file(self, name: str, digest: str) -> bytes:
        try:
            return self._storage.get(f"sha256:{digest}", f"{self._base}/wheels/{digest}/{quote(name)}")
        except TaskFault:
            raise HostFault(f"the package {name[:200]} could not be fetched from the broker") from None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:10_000]
    except (ValueError, LookupError, TypeError):
        return ""
