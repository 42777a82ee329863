"""The broker's core and the provider's, through links that break: every task is resolved exactly once, by its own answer."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.outcome import Answered

from .simulation import Simulation


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), hosts=st.integers(1, 4), workers=st.integers(1, 3), steps=st.integers(5, 60))
def test_whatever_breaks_every_task_is_resolved_once(seed: int, hosts: int, workers: int, steps: int) -> None:
    random = Random(seed)
    world = Simulation(random, hosts, workers)
    world.run(1.0)
    for _ in range(steps):
        for _ in range(random.randrange(8)):
            world.submit(random.choice([None, None, None, 0.05, 5.0]))
        fault = random.random()
        if fault < 0.15:
            world.cut_some_link()
        elif fault < 0.2:
            world.silence_some_link()
        elif fault < 0.4:
            world.cancel_some_task()
        world.run(random.choice([0.0, 0.001, 0.05, 1.0, 7.0]))
    world.settle()
    world.check()


@pytest.mark.parametrize("seed", range(10))
def test_without_deadlines_and_cancels_every_task_is_answered(seed: int) -> None:
    random = Random(seed)
    world = Simulation(random, hosts=2, workers=2)
    for _ in range(40):
        for _ in range(5):
            world.submit()
        fault = random.random()
        if fault < 0.25:
            world.cut_some_link()
        elif fault < 0.35:
            world.silence_some_link()
        world.run(0.2)
    world.settle()
    world.check()
    assert all(isinstance(outcomes[0], Answered) for outcomes in world.outcomes.values())


def test_nothing_breaks_and_each_run_is_answered_by_one_provider_once() -> None:
    world = Simulation(Random(7), hosts=3, workers=2)
    world.faulty = False
    world.run(1.0)
    for _ in range(300):
        world.submit()
    world.settle()
    world.check()
    ran = [task for host in world.hosts for task, _ in host.ran.elements()]
    assert len(set(ran)) == 300
    # What waited behind a long run goes elsewhere; a few have begun in that moment, unheard.
    assert len(ran) < 320
    assert world.broker.strays == 0
    assert 0 < world.stopped < 300
    assert all(host.state.done for host in world.hosts)
