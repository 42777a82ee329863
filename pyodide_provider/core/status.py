"""What a person sees of a provider. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """What a person sees of a provider. `running` are task ids; `done` and `failed` count since the start."""

    link: str
    """"idle", "connecting", "connected", "waiting" (for a reconnect) or "draining"."""
    workers: int
    ready: int
    running: tuple[str, ...]
    queued: int
    done: int
    failed: int
    peers: int
    """Providers connected to the broker, by its last ClusterInfo."""
    throughput: float
    """Tasks per second over all providers, by the broker's last Throughput."""
    reason: str
    """Why the link is down, in words; "" when it is up."""
