"""What the broker is doing, for Prometheus: /metrics, where the operator wants it. Reads the core's state and the storage.

The text is that of the exposition format 0.0.4: nothing in it comes from clients or providers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import web

from broker.blobs import Blobs
from broker.core.task import Standing
from broker.dispatcher import Dispatcher

FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """Values by their label, `name="value"` or ""."""

    name: str
    kind: str
    help: str
    values: dict[str, float]


def read(dispatcher: Dispatcher, blobs: Blobs) -> Iterator[Metric]:
    state = dispatcher.state
    ready = [p for p in state.providers.values() if p.standing is Standing.READY]
    ended = {"ok": state.done - state.failed, "failed": state.failed, "denied": state.denied}
    tasks = {f'outcome="{name}"': float(count) for name, count in ended.items()}
    yield Metric("tasks_total", "counter", "Tasks that ended: ok, failed by their own fault, or denied an answer.", tasks)
    yield Metric("strays_total", "counter", "Answers of providers to nothing that was asked.", {"": state.strays})
    yield Metric("tasks_waiting", "gauge", "Tasks that wait for a slot.", {"": state.waiting})
    yield Metric("tasks_running", "gauge", "Tasks that a provider has.", {"": state.running})
    yield Metric("tasks_bytes", "gauge", "Bytes that waiting and running tasks hold.", {"": state.held_bytes})
    yield Metric("providers", "gauge", "Providers that take tasks.", {"": len(ready)})
    yield Metric("slots", "gauge", "Runs that they do at a time.", {"": sum(p.concurrency for p in ready)})
    yield Metric("storage_bytes", "gauge", "Bytes of all stored files.", {"": blobs.held_bytes})
    yield Metric("storage_files", "gauge", "Stored files.", {"": len(blobs)})
    yield Metric("uptime_seconds", "gauge", "Since the start.", {"": time.time() - dispatcher.started})


def text(metrics: Iterator[Metric]) -> str:
    lines: list[str] = []
    for metric in metrics:
        name = f"wasimoff_{metric.name}"
        lines += (f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}")
        lines += (f"{name}{f'{{{label}}}' if label else ''} {value:.15g}" for label, value in metric.values.items())
    return "\n".join(lines) + "\n"


def routes(dispatcher: Dispatcher, blobs: Blobs, wanted: bool) -> list[web.RouteDef]:
    async def metrics(_: web.Request) -> web.Response:
        body = text(read(dispatcher, blobs)).encode()
        return web.Response(body=body, headers={"Content-Type": FORMAT, "Cache-Control": "no-store"})

    return [web.get("/metrics", metrics)] if wanted else []
