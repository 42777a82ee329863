"""Standard input that comes while a program runs, at real slots."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pyodide_provider.core.events import InputTaken, OutputWritten, RunBegan, RunsEnded
from pyodide_provider.core.input import MAX_INPUT
from pyodide_provider.core.run import Failed, Limits, Params
from tests.contract.programs import app, start

from .rig import Rig, ok, params, rig

POLL_ONCE = """(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") 1)"""


def typing(*args: str, program: str = "testing/lines", **more: object) -> Params:
    return params(app(program), *args, interactive=True, follow=True, **more)


async def until_written(slot: Rig, wanted: bytes) -> None:
    written = b""
    while wanted not in written:
        event = await slot.until(lambda event: isinstance(event, OutputWritten))
        assert isinstance(event, OutputWritten)
        written += event.stdout


async def test_each_line_is_answered_before_the_next_is_typed(tmp_path: Path) -> None:
    async with rig(tmp_path) as slot:
        await slot.start()
        for _ in range(3):
            (key,) = slot.post(1, typing(stdin=b"with the request\n"))
            await until_written(slot, b"1: with the request\n")
            for number, line in enumerate((b"one", b"two"), 2):
                slot.slots.put(1, key, line + b"\n", False)
                await until_written(slot, b"%d: %s\n" % (number, line))
            slot.slots.put(1, key, b"", True)
            (end,) = await slot.ended(1, 1)
            assert ok(end.outcome).stdout == b"1: with the request\n2: one\n3: two\n3 lines\n"
        assert "stdin" not in os.listdir(slot.slots._alive[1].scratch)


async def test_a_program_that_looks_before_it_reads(tmp_path: Path) -> None:
    async with rig(tmp_path) as slot:
        await slot.start()
        (key,) = slot.post(1, typing("20"))
        await until_written(slot, b".\n")
        slot.slots.put(1, key, b"now\n", True)
        (end,) = await slot.ended(1, 1)
        stdout = ok(end.outcome).stdout
        assert isinstance(stdout, bytes)
        assert stdout.replace(b".\n", b"") == b"1: now\n1 lines\n"


async def test_what_the_program_has_read_is_told(tmp_path: Path) -> None:
    piece, size = os.urandom(128 << 10), 6 * MAX_INPUT
    async with rig(tmp_path, output=size) as slot:
        await slot.start()
        (key,) = slot.post(1, typing(program="testing/cat"))
        taken = 0
        for count in range(len(piece), size + 1, len(piece)):
            slot.slots.put(1, key, piece, count == size)
            while count - taken > 1 << 20:
                event = await slot.until(lambda event: isinstance(event, InputTaken))
                assert isinstance(event, InputTaken)
                assert taken < event.taken <= count
                taken = event.taken
        (end,) = await slot.ended(1, 1)
        assert ok(end.outcome).stdout == piece * (size // len(piece))


async def test_all_that_may_come_reaches_a_program_that_reads_late(tmp_path: Path) -> None:
    data = bytes(range(256)) * (MAX_INPUT // 256)
    async with rig(tmp_path, output=2 * MAX_INPUT) as slot:
        await slot.start()
        (key,) = slot.post(1, typing(program="testing/cat"))
        for at in range(0, len(data), 100_000):
            slot.slots.put(1, key, data[at : at + 100_000], False)
        slot.slots.put(1, key, b"", True)
        (end,) = await slot.ended(1, 1)
        assert ok(end.outcome).stdout == data


@pytest.mark.parametrize("more", [b"", b"never read" * 100_000], ids=["open", "unread"])
async def test_a_program_that_ends_before_its_input(tmp_path: Path, more: bytes) -> None:
    """Also one that has looked at it: nothing is left that would read the next run's."""
    looks = start(
        "(i32.store8 (i32.const 8) (i32.const 1)) (i64.store (i32.const 72) (i64.const 1000))"
        " (drop (call $poll (i32.const 0) (i32.const 200) (i32.const 2) (i32.const 300)))",
        POLL_ONCE,
    )
    async with rig(tmp_path) as slot:
        await slot.start()
        for program in (app("testing/noop"), looks):
            for _ in range(3):
                (key,) = slot.post(1, params(program, interactive=True, stdin=b"" if program is looks else more))
                (end,) = await slot.ended(1, 1)
                ok(end.outcome)
                slot.slots.put(1, key, b"too late", True)
        (key,) = slot.post(1, typing())
        slot.slots.put(1, key, b"mine\n", True)
        (end,) = await slot.ended(1, 1)
        assert ok(end.outcome).stdout == b"1: mine\n1 lines\n"


async def test_others_wait_until_it_has_ended(tmp_path: Path) -> None:
    async with rig(tmp_path) as slot:
        await slot.start()
        keys = slot.post(1, params(app("testing/noop")), typing(), params(app("testing/cat"), stdin=b"cat's own"), typing())
        (end,) = await slot.ended(1, 1)
        assert end.sequence == keys[0]
        slot.slots.put(1, keys[1], b"mine\n", True)
        slot.slots.put(1, keys[3], b"not yet there", False)
        ends = await slot.ended(1, 2)
        assert [ok(end.outcome).stdout for end in ends] == [b"1: mine\n1 lines\n", b"cat's own"]
        slot.slots.put(1, keys[3], b"", True)
        (end,) = await slot.ended(1, 1)
        assert ok(end.outcome).stdout == b"0 lines\n"


async def test_killing_the_slot_ends_one_that_waits_for_input(tmp_path: Path) -> None:
    async with rig(tmp_path) as slot:
        before = len(os.listdir("/proc/self/fd"))
        for number in range(1, 4):
            await slot.start(number)
            slot.post(number, typing(limits=Limits(wall=1000)))
            await slot.until(lambda event: isinstance(event, RunBegan))
            slot.slots.stop(number)
        await slot.slots.close()
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) == before
        assert not any(isinstance(event, RunsEnded) for event in slot.events)


async def test_a_module_that_can_not_run_leaves_its_input(tmp_path: Path) -> None:
    async with rig(tmp_path) as slot:
        await slot.start()
        for _ in range(2):
            (key,) = slot.post(1, params(b"not wasm", interactive=True))
            slot.slots.put(1, key, b"x" * 200_000, True)
            (end,) = await slot.ended(1, 1)
            assert isinstance(end.outcome, Failed)
