"""Each limit on real processes: what is over it is stopped and named, ten times in a row, and the slot works after each."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyodide_provider.core.events import RunBegan
from pyodide_provider.core.run import NO_LIMITS, Exited, Failed, Limits, Params
from tests.contract import programs as p
from tests.contract.bombs import BOMBS, MIB

from .rig import ok, params, rig, worker_of

NOOP, HELLO = p.app("testing/noop"), p.app("helloworld/helloworld-c")


@pytest.mark.parametrize("name", BOMBS)
async def test_ten_times_in_a_row(tmp_path: Path, name: str) -> None:
    bomb, limits, error = BOMBS[name]
    async with rig(tmp_path) as made:
        await made.start()
        for _ in range(10):
            assert await made.run(params(bomb, limits=limits)) == Failed(error)
            assert await made.run(params(NOOP)) == Exited(0)
            assert ok(await made.run(params(HELLO, "ls:/"))).stdout.endswith(b"arg 1: ls:/\n")


class TestExactly:
    """What a quick program has written is measured when it has ended."""

    @pytest.mark.parametrize(
        ("limits", "texts", "over"),
        [
            (Limits(files=12), ("12345", "12345"), ""),
            (Limits(files=11), ("12345", "12345"), "files limit exceeded: more than 11 bytes"),
        ],
    )
    async def test_files(self, tmp_path: Path, limits: Limits, texts: tuple[str, str], over: str) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            outcome = await made.run(params(HELLO, "write:/a", texts[0], "write:/b", texts[1], limits=limits))
            assert outcome == Failed(over) if over else isinstance(outcome, Exited)

    async def test_output(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            program = p.app("testing/bigout")
            assert len(ok(await made.run(params(program, "5000", limits=Limits(output=5000)))).stdout) == 5000
            assert await made.run(params(program, "5001", limits=Limits(output=5000))) == Failed(
                "output limit exceeded: more than 5000 bytes"
            )

    async def test_a_run_may_have_more_than_the_slot_gives(self, tmp_path: Path) -> None:
        async with rig(tmp_path, output=1000, files=1000) as made:
            await made.start()
            program = p.app("testing/bigout")
            assert len(ok(await made.run(params(program, "50000", limits=Limits(output=50000)))).stdout) == 50000
            assert await made.run(params(program, "50000")) == Failed("output limit exceeded: more than 1000 bytes")


class TestMemory:
    async def test_a_program_that_takes_a_refusal_well_is_no_failure(self, tmp_path: Path) -> None:
        tries = p.start("(drop (memory.grow (i32.const 100)))", p.MEMORY)
        async with rig(tmp_path) as made:
            await made.start()
            assert await made.run(params(tries, limits=Limits(memory=MIB))) == Exited(0)

    async def test_a_trap_below_half_of_it_has_another_reason(self, tmp_path: Path) -> None:
        def traps(pages: int) -> Params:
            program = p.wat(f'(module (memory (export "memory") {pages}) (func (export "_start") unreachable))')
            return params(program, limits=Limits(memory=MIB))

        async with rig(tmp_path) as made:
            await made.start()
            assert await made.run(traps(7)) == Failed("unreachable")
            assert await made.run(traps(8)) == Failed(
                "memory limit exceeded: 0.5 MiB of at most 1.0 MiB in use when the program stopped: unreachable"
            )
            assert await made.run(traps(17)) == Failed("memory limit exceeded: 1.1 MiB of at most 1.0 MiB needed to begin")


class TestWall:
    """The provider's core kills; the slot tells it when to count from."""

    @pytest.mark.parametrize(("limits", "began"), [(Limits(wall=10), 1), (NO_LIMITS, 0)])
    async def test_a_run_with_a_limit_tells_that_it_begins(self, tmp_path: Path, limits: Limits, began: int) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            (sequence,) = made.post(1, params(NOOP, limits=limits))
            (end,) = await made.ended(1, 1)
            assert end.outcome == Exited(0)
            assert made.events == [RunBegan(1, sequence)] * began

    async def test_an_endless_loop_has_begun(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(p.app("testing/spin"), limits=Limits(wall=10)))
            await made.until(lambda event: isinstance(event, RunBegan))
            made.slots.stop(1)


async def test_a_worker_that_died_of_a_limit_is_another_one(tmp_path: Path) -> None:
    """Guards the tests above: a program can't be stopped without its process, and the next one starts anew."""
    async with rig(tmp_path) as made:
        await made.start()
        before = worker_of(made)
        await made.run(params(p.NEVER_STOPS_WRITING))
        assert worker_of(made) != before
