"""What a person sees of a provider. Pure; imports this package only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .state import State


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


def status_of(state: State) -> Status:
    """As far as the core knows: of the others it knows nothing."""
    slots = state.pool.slots.values()
    return Status(
        link="draining" if state.draining else state.link.state,
        workers=state.workers,
        ready=state.pool.ready,
        running=tuple(posted.run.task for slot in slots for posted in slot.posted if posted.wanted),
        queued=len(state.backlog.queue),
        done=state.done,
        failed=state.failed,
        peers=0,
        throughput=0.0,
        reason=state.link.reason,
    )
