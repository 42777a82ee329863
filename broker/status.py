"""What the broker is doing, for people and dashboards: /api/status. Reads the core's state only."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from broker.core.note import note
from broker.dispatcher import Dispatcher

SHOWN = 1000
"""Providers listed, at most."""


def snapshot(dispatcher: Dispatcher, version: str) -> dict[str, Any]:
    """The state in JSON's types; seconds and counts."""
    state = dispatcher.state
    now = dispatcher.now()
    providers = [
        {
            "id": p.number,
            "name": p.name,
            "engine": p.engine,
            "offers": sorted(p.offers),
            "address": p.address,
            "standing": p.standing.value,
            "concurrency": p.concurrency,
            "running": len(p.runs),
            "done": p.done,
            "failed": p.failed,
            "cpu_seconds": round(p.cpu_seconds, 3),
            "round_trip_ms": round(p.round_trip * 1000, 2),
            "connected_seconds": round(now - p.connected, 1),
        }
        for p in list(state.providers.values())[:SHOWN]
    ]
    return {
        "version": version,
        "uptime": round(time.time() - dispatcher.started, 1),
        "providers": providers,
        "queue": {
            "waiting": state.waiting,
            "running": state.running,
            "limit": state.policy.queue_limit,
            "bytes": state.held_bytes,
            "bytes_limit": state.policy.queue_bytes,
            "note": note(state),
        },
        "tasks": {"done": state.done, "failed": state.failed, "denied": state.denied, "strays": state.strays},
    }


def routes(dispatcher: Dispatcher, version: str) -> list[web.RouteDef]:
    async def status(_: web.Request) -> web.Response:
        return web.json_response(snapshot(dispatcher, version), headers={"Cache-Control": "no-store"})

    return [web.get("/api/status", status)]
