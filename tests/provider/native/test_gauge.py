"""What a run has used when it is ended at a limit: by its slot, by the kernel, or by the provider's core."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyodide_provider.core.events import RunBegan
from pyodide_provider.core.run import Ended, Limits, Params
from pyodide_provider.native import gauge
from tests.contract import programs as p
from tests.contract.bombs import BOMBS, SLEEPS
from tests.contract.thread_programs import threaded, times

from .rig import Rig, params, rig

BUSY, NOOP = p.app("testing/busy"), p.app("testing/noop")
DIE_WITH_THE_WORKER = ("output", "one file", "many files")


async def lost(made: Rig, given: Params) -> Ended:
    made.post(1, given)
    ended = (await made.lost()).ended
    assert ended is not None
    return ended


@pytest.mark.parametrize("name", DIE_WITH_THE_WORKER)
async def test_of_a_worker_that_dies_of_it(tmp_path: Path, name: str) -> None:
    """What came before it there does not count."""
    bomb, limits, _ = BOMBS[name]
    async with rig(tmp_path) as made:
        await made.start()
        await made.run(params(BUSY, "400", "x"))
        began = time.monotonic()
        ended = await lost(made, params(bomb, limits=limits))
        assert ended.usage is not None
        assert 0 < ended.seconds <= time.monotonic() - began
        assert 0 < ended.usage.cpu < ended.seconds + 0.1


async def test_of_nothing_that_has_begun(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        assert made.slots.cpu(1, 9.0) == 0
        await made.run(params(BUSY, "50", "x"))
        assert made.slots.cpu(1, 9.0) == 0
        assert made.slots.cpu(2, 9.0) == 0


SPINNING = threaded("(call $spin)", f"{times(3, '(call $start (i32.const 0))')} (call $spin)")


@pytest.mark.parametrize(("program", "least", "most"), [(SPINNING, 0.2, 10.0), (SLEEPS, 0.0, 0.1)], ids=["computes", "sleeps"])
async def test_of_a_run_that_goes_on(tmp_path: Path, program: bytes, least: float, most: float) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        made.post(1, params(program, limits=Limits(wall=60)))
        await made.until(lambda event: isinstance(event, RunBegan))
        await asyncio.sleep(0.5)
        assert least <= made.slots.cpu(1, 0.5) <= most


def test_who_has_died_can_be_asked_until_it_is_waited_for() -> None:
    descriptor = gauge.make()
    try:
        measure = gauge.Gauge(descriptor)
        measure.begin(time.monotonic(), 0.0)
        process = subprocess.Popen([sys.executable, "-c", "sum(range(3_000_000))"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert measure.used(process.pid)[1] > 0.01
        process.wait()
        assert measure.used(process.pid)[1] == 0
        measure.end()
        assert measure.used(os.getpid()) == (0.0, 0.0)
    finally:
        os.close(descriptor)
