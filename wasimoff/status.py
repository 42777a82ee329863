"""What the broker says of itself: `GET /api/status`. Standard library only, and `notebook` where it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BrokerError


@dataclass(frozen=True, slots=True)
class Provider:
    """One connected provider. `id` is its connection; names are for people and not unique."""

    id: int
    name: str
    engine: str
    address: str
    concurrency: int
    running: int
    done: int
    failed: int
    connected_seconds: float
    offers: tuple[str, ...] = ()
    """What it can do: "wasip1", "pyodide", "interactive" …; empty: the broker does not say."""
    cpu_seconds: float | None = None
    """Of CPU that tasks used there, as it measured them; None: the broker does not say."""


@dataclass(frozen=True, slots=True)
class Status:
    """A broker at one moment. `uptime` in seconds; `note` says in words when tasks can't move."""

    version: str
    uptime: float
    providers: tuple[Provider, ...]
    waiting: int
    running: int
    limit: int
    note: str
    done: int
    """Tasks answered by a provider."""
    failed: int
    """Tasks that failed there, and those that ended without an answer: refused, cancelled, lost, too late."""

    @property
    def slots(self) -> int:
        """How many tasks all providers run at once."""
        return sum(p.concurrency for p in self.providers)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from .notebook import table

        tasks = f"{self.waiting} waiting, {self.running} running, {self.done} done, {self.failed} failed"
        lending = "\n".join(
            f"{p.name} ({p.engine}): {p.running} of {p.concurrency} slots busy, {p.done} done" for p in self.providers
        )
        rows = {"tasks": tasks, "providers": lending or "none", "note": self.note}
        return table(f"wasimoff broker {self.version}, {self.slots} slots", rows)


def parse(document: Any) -> Status:
    """The Status in the broker's JSON; what it leaves out is 0 or "". Raises BrokerError when it is something else."""
    if not isinstance(document, Mapping) or not isinstance(document.get("providers", []), list):
        raise BrokerError("the broker's status is not what a wasimoff broker says: is the URL right?", "internal")
    queue, tasks = _part(document, "queue"), _part(document, "tasks")
    return Status(
        version=_text(document, "version"),
        uptime=_number(document, "uptime"),
        providers=tuple(_provider(p) for p in document.get("providers", []) if isinstance(p, Mapping)),
        waiting=int(_number(queue, "waiting")),
        running=int(_number(queue, "running")),
        limit=int(_number(queue, "limit")),
        note=_text(queue, "note"),
        done=int(_number(tasks, "done")),
        failed=int(_number(tasks, "failed") + _number(tasks, "denied")),
    )


def _provider(part: Mapping[str, Any]) -> Provider:
    return Provider(
        id=int(_number(part, "id")),
        name=_text(part, "name"),
        engine=_text(part, "engine"),
        address=_text(part, "address"),
        concurrency=int(_number(part, "concurrency")),
        running=int(_number(part, "running")),
        done=int(_number(part, "done")),
        failed=int(_number(part, "failed")),
        connected_seconds=_number(part, "connected_seconds"),
        offers=_words(part, "offers"),
        cpu_seconds=_number(part, "cpu_seconds") if "cpu_seconds" in part else None,
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(part: Mapping[str, Any], name: str) -> float:
    value = part.get(name, 0)
    return float(value) if isinstance(value, int | float) and value == value and abs(value) < 1e18 else 0.0


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name, "")
    return value if isinstance(value, str) else ""


def _words(part: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = part.get(name)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
