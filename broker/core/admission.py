"""Whether a task is let in, or may go on to grow, and what to say when not. Standard library and this package only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .note import note
from .outcome import Denied
from .task import Phase, Task

if TYPE_CHECKING:
    from .state import State

GOING_DOWN = Denied("unavailable", "the broker is shutting down; try again in a moment", 5)


def refusal(state: State, task: Task, now: float) -> Denied | None:
    """Why a task that has just come can't be taken; None: it can."""
    policy = state.policy
    if state.draining:
        return GOING_DOWN
    if task.deadline is not None and task.deadline <= now:
        return Denied("deadline_exceeded", "the deadline had passed before the task arrived")
    if task.immediate and not state.roster.has_idle(task.needs):
        return Denied("unavailable", f"no slot is free now, and the task asked not to wait ({note(state)})", 1)
    if state.waiting >= policy.queue_limit:
        return Denied("resource_exhausted", f"{state.waiting} tasks wait already, which is the limit", _patience(state))
    return _overweight(state)


def grow(state: State, task: Task, size: int) -> Denied | None:
    """A task holds so many bytes more, or less. Why that is too much; None: it is not."""
    if task.phase is Phase.ENDED:
        return None
    task.weight += size
    state.held_bytes += size
    return _overweight(state) if size > 0 else None


def _overweight(state: State) -> Denied | None:
    if state.held_bytes <= state.policy.queue_bytes:
        return None
    text = f"waiting tasks hold {state.held_bytes} bytes, more than the limit of {state.policy.queue_bytes}"
    return Denied("resource_exhausted", text, _patience(state))


def _patience(state: State) -> int:
    """Seconds after which a refused client may find room: a guess, kept within 1 and 30."""
    slots = sum(p.concurrency for p in state.providers.values())
    return 10 if not slots else max(1, min(30, state.waiting // (100 * slots)))
