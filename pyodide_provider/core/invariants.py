"""What must hold between any two events. For tests; imports this package only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .state import State


def validate(state: State) -> None:
    """Raises AssertionError naming, in words, the first invariant that does not hold."""
    state.backlog.validate()
    state.inputs.validate()
    interactive = {run.sequence for run in state.backlog.runs.values() if run.params.interactive}
    assert interactive == set(state.inputs), "input for runs that are not owed"
    posted = [entry.run for slot in state.pool.slots.values() for entry in slot.posted if entry.wanted]
    places = posted + list(state.backlog.queue.values())
    assert len(places) == len(state.backlog.runs), "a run is nowhere, or in two places"
    assert set(map(id, places)) == set(map(id, state.backlog.runs.values())), "a run is somewhere, but not owed"
    assert state.link.up or not state.backlog.runs, "runs of a link that is gone"
    for slot in state.pool.slots.values():
        slot.validate()
        assert slot.posted or not slot.retiring, f"slot {slot.number} is idle and retiring"
        assert not (state.backlog.queue and slot.usable and slot.state == "ready" and not slot.posted), "idle slot"
    staying = sum(not slot.retiring for slot in state.pool.slots.values())
    assert staying == state.target, f"{staying} slots stay"
    assert not state.backlog.queue or state.pool.usable, "runs wait for nothing"
