"""What must hold between any two events, and a task's story in words: for tests and people. This package only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .task import Phase, Standing, Task

if TYPE_CHECKING:
    from .state import State


def validate(state: State) -> None:
    """Raises AssertionError naming the first invariant that does not hold."""
    _validate_waiting(state)
    _validate_runs(state)
    _validate_pools(state)


def _validate_waiting(state: State) -> None:
    waiting = [task for queue in state.queues.values() for task in queue]
    resting = list(state.rests)
    assert all(len(queue) == len(list(queue)) for queue in state.queues.values()), "a queue miscounts"
    assert len(set(waiting + resting)) == len(waiting) + len(resting), "a task waits twice"
    assert all(t.phase is Phase.QUEUED and t.run is None for t in waiting), "a waiting task is not queued"
    assert all(t.phase is Phase.RESTING and t.run is None for t in resting), "a resting task does not rest"
    assert state.waiting == len(waiting) + len(resting), "waiting is miscounted"
    held = sum(t.weight for t in waiting + resting) + sum(
        run.task.weight for p in state.providers.values() for run in p.runs.values() if run.cancelled is None
    )
    assert state.held_bytes == held, "held bytes are miscounted"


def _validate_runs(state: State) -> None:
    live = 0
    for provider in state.providers.values():
        assert provider.standing is not Standing.GONE, "a lost provider is still connected"
        assert provider.load > -1e-6, "a provider's load is negative"
        for sequence, run in provider.runs.items():
            assert run.sequence == sequence, "a run is filed under another sequence"
            assert run.provider is provider, "a run is filed at another provider"
            assert (run.cancelled is None) == (run.task.run is run), "a run is not its task's"
            assert run.cancelled is not None or run.task.phase is Phase.RUNNING, "a run's task does not run"
            live += run.cancelled is None
    assert state.running == live, "running is miscounted"


def _validate_pools(state: State) -> None:
    roster = state.roster
    assert not roster.idle.keys() & roster.spare.keys(), "a provider is in both pools"
    for provider in [*roster.idle, *roster.spare]:
        assert state.providers.get(provider.number) is provider, "a pool holds a provider that is not connected"
        assert provider.standing is Standing.READY, "a pool holds a provider that is not ready"
    assert all(len(p.runs) < p.concurrency for p in roster.idle), "an idle provider has no free slot"
    for queue in state.queues.values():
        for task in queue:
            free = [p for p in roster.idle if p.takes(task.needs) and p.number not in (task.avoid or ())]
            assert not free, "a task waits beside a free slot"


def story(task: Task) -> str:
    """What happened to one task so far, a line each."""
    lines = [f"task {task.id} of {task.requester}: {task.phase.value}, {task.attempts} attempts", *(task.reasons or ())]
    if task.run is not None:
        lines.append(f"attempt {task.run.attempt} runs at {task.run.provider.name} since {task.run.assigned:.3f}")
    return "\n".join(lines)
