"""Providers killed with -9 in the middle of a job: nothing is lost, nothing doubled. Real broker, real providers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from wasimoff import Client, Task

from .client.stack import TESTING, Process, Stack

TASKS = 200
KILLS = 10


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


def start(stack: Stack, name: str) -> Process:
    provider = Process("provider", "--workers", "2", "--name", name, broker=stack.url)
    stack.providers.append(provider)
    return provider


def kill(provider: Process) -> None:
    os.kill(provider.pid, signal.SIGKILL)
    provider.stop()


@pytest.mark.parametrize("steady", [0, 1])
def test_ten_kills_in_a_job_of_two_hundred(stack: Stack, steady: int) -> None:
    """`steady` providers are left alone; without one, the only provider is killed and started again and again."""
    for number in range(steady):
        start(stack, f"steady-{number}")
    victim = start(stack, "victim-0")
    kills = 0
    seen: Counter[int] = Counter()
    with Client(stack.url) as client:
        busy = client.upload(TESTING / "busy.wasm")
        tasks = [Task(busy, ["15", f"task {number}"]) for number in range(TASKS)]
        for result in client.run_many(tasks, in_flight=32):
            assert not result.error
            assert result.stdout == f"done task {result.index}\n".encode()
            seen[result.index] += 1
            if kills < KILLS and seen.total() >= (kills + 1) * TASKS // (KILLS + 2):
                kill(victim)
                kills += 1
                victim = start(stack, f"victim-{kills}")
        status = client.status()
    assert kills == KILLS
    assert sorted(seen) == list(range(TASKS))
    assert set(seen.values()) == {1}
    assert status.waiting == status.running == 0
