"""The state of things in a few words, for people. Standard library and this package only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .task import OWN, Standing

if TYPE_CHECKING:
    from .state import State

WORDS = {OWN: "own (what only this make of providers knows of, as several roots or very large stdin)"}
"""What tasks may need, where the name does not say it."""


def note(state: State) -> str:
    """Why tasks wait; "" when there is nothing to say."""
    if not state.providers:
        return "no provider is connected: tasks wait until their deadline"
    if not any(p.standing is Standing.READY and p.concurrency for p in state.providers.values()):
        return "no provider is ready yet"
    if state.waiting:
        return _lacking(state) or f"every slot is taken, {state.waiting} tasks wait"
    return ""


def _lacking(state: State) -> str:
    """What tasks wait for that nobody who is connected offers."""
    for needs, queue in state.queues.items():
        if queue and next(state.roster.able(needs), None) is None:
            offered = frozenset[str]().union(*(p.offers for p in state.providers.values()))
            lacking = ", ".join(WORDS.get(need, need) for need in sorted(needs - offered or needs))
            return f"{len(queue)} tasks wait for a provider that offers {lacking}: none is connected"
    return ""
