"""Native slots: real child processes, killed, starved, lied to."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyodide_provider.core.events import RunsEnded, SlotLost
from pyodide_provider.core.run import Broken, Exited, Failed, File
from tests.contract import programs as p
from tests.contract.zips import make_zip

from .rig import BlobServer, Rig, alive, children_of, ok, params, rig, wait_until

NOOP, SPIN, CAT = p.app("testing/noop"), p.app("testing/spin"), p.app("testing/cat")


@pytest.fixture
def server() -> Iterator[BlobServer]:
    made = BlobServer()
    yield made
    made.close()


def children() -> set[int]:
    """Process ids of our workers."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if b"native.worker" in line and parent == os.getpid():
            found.add(int(folder.name))
    return found


def descriptors(pid: int) -> list[str]:
    return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]


def core_limits(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if "core" in line).split()[4:6]


def out_of_memory_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score").read_text())


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class TestLife:
    async def test_runs_are_answered_in_order_each_once(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            sequences = made.post(1, *(params(CAT, stdin=bytes([number])) for number in range(100)))
            ends = await made.ended(1, 100)
            assert [end.sequence for end in ends] == sequences
            assert [ok(end.outcome).stdout for end in ends] == [bytes([number]) for number in range(100)]
            assert made.events == []

    async def test_seconds_are_of_the_run_alone(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(p.app("helloworld/helloworld-rust")), params(p.app("testing/busy"), "50", "x"))
            compiled, busy = await made.ended(1, 2)
            assert 0 < compiled.seconds < 0.05, "compiling takes longer"
            assert 0.05 <= busy.seconds < 0.5

    async def test_arguments_may_be_many_and_large(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(NOOP, "x" * (17 << 20)), params(NOOP, *["\1"] * 200_000))
            assert [end.outcome for end in await made.ended(1, 2)] == [Exited(0)] * 2

    async def test_posted_before_it_is_ready(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            made.slots.start(1)
            made.post(1, params(NOOP))
            (end,) = await made.ended(1, 1)
            assert end.outcome == Exited(0)

    async def test_an_endless_loop_is_killed_and_the_next_slot_works(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start(1)
            made.post(1, params(SPIN))
            await asyncio.sleep(0.2)
            made.slots.stop(1)
            await made.start(2)
            assert await made.run(params(NOOP), slot=2) == Exited(0)
            assert not any(isinstance(event, (SlotLost, RunsEnded)) for event in made.events), "a stopped slot is silent"
            await asyncio.to_thread(wait_until, lambda: len(children()) == 1)

    async def test_a_slot_stopped_while_it_starts_leaves_nothing(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            for slot, pause in enumerate((None, 0, 0.001, 0.01, 0.02, 0.04)):
                made.slots.start(slot)
                if pause is not None:
                    await asyncio.sleep(pause)
                made.slots.stop(slot)
        assert children() == set()
        assert made.events == []

    async def test_a_worker_that_is_killed_says_by_what(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(SPIN))
            (pid,) = children()
            os.kill(pid, signal.SIGKILL)
            lost = await made.lost()
            assert (lost.reason, lost.ended) == ("killed by SIGKILL", None)

    async def test_a_worker_that_cannot_start_says_why(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            made.cache.folder.joinpath("modules").rmdir()
            made.cache.folder.joinpath("modules").write_bytes(b"in the way")
            made.slots.start(1)
            lost = await made.lost()
            assert lost.reason.startswith("ended with exit code 1: UsageError: the cache folder")

    async def test_workers_die_with_their_parent_however_it_dies(self, tmp_path: Path) -> None:
        script = (
            "import asyncio, sys; from pathlib import Path\n"
            "from tests.provider.native.rig import rig, params\n"
            "from tests.contract.programs import app\n"
            "async def main():\n"
            "    async with rig(Path(sys.argv[1])) as made:\n"
            "        await made.start(1); await made.start(2)\n"
            "        made.post(1, params(app('testing/spin')))\n"
            "        print('up', flush=True); await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path)]
        parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=p.APPS.parent)
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"up\n"
        workers = await asyncio.to_thread(children_of, parent.pid)
        assert len(workers) == 2
        parent.kill()
        await parent.wait()
        await asyncio.to_thread(wait_until, lambda: not any(alive(pid) for pid in workers), 3)

    async def test_signals_to_the_group_are_for_the_parent(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(p.app("testing/busy"), "300", "done"))
            (pid,) = children()
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            (end,) = await made.ended(1, 1)
            assert ok(end.outcome).stdout == b"done done\n"
            assert os.getpgid(pid) != os.getpgid(0)

    async def test_a_worker_inherits_no_descriptor_but_its_own(self, tmp_path: Path) -> None:
        ours = os.open("/etc/hostname", os.O_RDONLY)
        os.set_inheritable(ours, True)
        try:
            async with rig(tmp_path) as made:
                await made.start()
                (pid,) = children()
                targets = descriptors(pid)
                assert "/etc/hostname" not in targets
                assert sum(target.startswith("socket:") for target in targets) == 1
        finally:
            os.close(ours)

    async def test_a_worker_dumps_no_core(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            (pid,) = children()
            assert core_limits(pid) == ["0", "0"]

    async def test_a_worker_goes_first_when_memory_runs_out(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            (pid,) = children()
            assert out_of_memory_score(pid) > out_of_memory_score(os.getpid())

    async def test_scratch_is_gone_with_the_slot(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            await made.run(params(NOOP, rootfs=File(blob=make_zip({"a/b/c": b"x"}))))
            assert (made.scratch.path / "1").is_dir()
            made.slots.stop(1)
            await asyncio.to_thread(wait_until, lambda: not (made.scratch.path / "1").exists())
        assert not made.scratch.path.exists()


class TestLimits:
    async def test_output_up_to_the_limit_comes_whole(self, tmp_path: Path) -> None:
        async with rig(tmp_path, output=4 << 20) as made:
            await made.start()
            outcome = ok(await made.run(params(p.app("testing/bigout"), str(4 << 20))))
            assert len(outcome.stdout) == 4 << 20
            assert outcome.stdout[64 * 1000 : 64 * 1000 + 16] == b"%016d" % 64000

    async def test_a_worker_killed_at_a_limit_tells_which_and_what_waits_behind_is_not_lost(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(p.NEVER_STOPS_WRITING), params(NOOP))
            lost = await made.lost()
            assert lost.reason == "killed by SIGXFSZ"
            assert lost.ended is not None
            assert lost.ended.outcome == Failed("output limit exceeded: more than 1048576 bytes")
            assert not made.events, "the run behind is the core's to post again"

    async def test_a_flood_of_output_does_not_stay_in_memory(self, tmp_path: Path) -> None:
        async with rig(tmp_path, output=64 << 20, files=64 << 20) as made:
            await made.start()
            for _ in range(3):
                outcome = await made.run(params(p.app("testing/bigout"), str(60 << 20)))
                assert len(ok(outcome).stdout) == 60 << 20
            await made.run(params(NOOP))
            (pid,) = children()
            assert resident(pid) < 150 << 20

    async def test_nested_folders_without_end_are_cleaned_away(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            outcome = await made.run(params(NESTS))
            assert isinstance(outcome, Failed)
            assert outcome.error.endswith("or 256 folders inside each other")
            outcome = ok(await made.run(params(p.app("helloworld/helloworld-c"), "ls:/")))
            assert outcome.stdout.endswith(b"arg 1: ls:/\n")


NESTS = p.start(
    # 5000 times: path_create_directory(fd, "d"), fd = path_open(fd, "d")
    "(local $n i32) (local $fd i32) (local.set $fd (i32.const 3))"
    "(loop $again"
    " (drop (call $mkdir (local.get $fd) (i32.const 32) (i32.const 1)))"
    " (drop (call $path_open (local.get $fd) (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 2)"
    "  (i64.const 0x2200) (i64.const 0x2200) (i32.const 0) (i32.const 16)))"
    " (if (i32.ne (local.get $fd) (i32.const 3)) (then (drop (call $close (local.get $fd)))))"
    " (local.set $fd (i32.load (i32.const 16)))"
    " (local.set $n (i32.add (local.get $n) (i32.const 1)))"
    " (br_if $again (i32.lt_u (local.get $n) (i32.const 5000))))",
    p.PATH_OPEN,
    '(import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))',
    '(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))',
    p.MEMORY,
    '(data (i32.const 32) "d")',
)


class TestStorage:
    async def test_a_blob_is_fetched_once_and_kept(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(NOOP)
        async with rig(tmp_path, server.url) as made:
            await made.start(1)
            for _ in range(3):
                assert await made.run(params(ref)) == Exited(0)
            await made.start(2)
            assert await made.run(params(ref), slot=2) == Exited(0)
            assert server.asked == [ref]
            assert made.cache.refs() == [ref]
        async with rig(tmp_path, server.url) as again:
            await again.start(1)
            assert await again.run(params(ref)) == Exited(0)
        assert server.asked == [ref]

    async def test_slots_that_want_a_blob_at_once_fetch_it_once(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(make_zip({"a": b"text"}))
        server.before = lambda: time.sleep(0.2)
        async with rig(tmp_path, server.url) as made:
            for slot in (1, 2, 3):
                await made.start(slot)
            asked = params(NOOP, rootfs=File(ref))
            assert await asyncio.gather(*(made.run(asked, slot=slot) for slot in (1, 2, 3))) == [Exited(0)] * 3
            assert server.asked == [ref]

    async def test_slots_that_want_a_program_at_once_compile_it_once(self, tmp_path: Path) -> None:
        written: set[int] = set()

        async def watch() -> None:
            while True:
                written.update(path.stat().st_ino for path in (tmp_path / "modules").glob("[!.]*"))
                await asyncio.sleep(0.001)

        async with rig(tmp_path) as made:
            for slot in (1, 2, 3):
                await made.start(slot)
            watching = asyncio.create_task(watch())
            asked = params(p.app("helloworld/helloworld-rust"))
            await asyncio.gather(*(made.run(asked, slot=slot) for slot in (1, 2, 3)))
            watching.cancel()
            assert len(written) == 1

    async def test_bytes_of_another_digest_are_refused_and_not_kept(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(NOOP)
        server.answer_with = (200, CAT)
        async with rig(tmp_path, server.url) as made:
            await made.start()
            outcome = await made.run(params(ref))
            assert isinstance(outcome, Broken)
            assert outcome.error.startswith(f"{ref} was fetched, but its bytes are sha256:")
            assert made.cache.refs() == []
            server.answer_with = None
            assert await made.run(params(ref)) == Exited(0)

    async def test_trouble_with_the_storage_is_not_the_tasks_fault(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(CAT)
        async with rig(tmp_path, server.url) as made:
            await made.start()
            server.answer_with = (503, b"busy")
            outcome = await made.run(params(ref))
            assert isinstance(outcome, Broken)
            assert "answered 503" in outcome.error
            server.answer_with, server.cut_at = None, 10
            outcome = await made.run(params(ref))
            assert isinstance(outcome, Broken)
            assert "could not be fetched" in outcome.error or "its bytes are" in outcome.error
            server.cut_at = None
            assert ok(await made.run(params(ref, stdin=b"x"))).stdout == b"x"

    async def test_no_storage_at_all(self, tmp_path: Path, server: BlobServer) -> None:
        async with rig(tmp_path, "http://127.0.0.1:9/api/storage") as made:
            await made.start()
            outcome = await made.run(params(server.add(NOOP)))
            assert isinstance(outcome, Broken)
            assert "Connection refused" in outcome.error

    async def test_a_rootfs_by_ref_is_unpacked_once(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(make_zip({"a": b"text"}))
        async with rig(tmp_path, server.url) as made:
            await made.start()
            for _ in range(2):
                outcome = ok(await made.run(params(p.app("helloworld/helloworld-c"), "cat:/a", rootfs=File(ref))))
                assert outcome.stdout.endswith(b"text")
            assert server.asked == [ref]
            unpacked = made.scratch.path / "1"
            # The template; the copy for a run is removed right after its end was told.
            await asyncio.to_thread(wait_until, lambda: len(list(unpacked.glob("*/a"))) == 1)

    @pytest.mark.parametrize("damage", [lambda code: code[:-1] + b"x", lambda code: b"", lambda code: code[:40]])
    async def test_a_damaged_compiled_module_is_made_anew(self, tmp_path: Path, server: BlobServer, damage: object) -> None:
        ref = server.add(CAT)
        async with rig(tmp_path, server.url) as made:
            await made.start(1)
            await made.run(params(ref))
            (path,) = (tmp_path / "modules").iterdir()
            good = path.read_bytes()
            path.write_bytes(damage(good))  # type: ignore[operator]
            await made.start(2)
            assert ok(await made.run(params(ref, stdin=b"x"), slot=2)).stdout == b"x"
            mended = path.read_bytes()
            assert mended[:32] == hashlib.sha256(mended[32:]).digest()

    async def test_a_compiled_module_of_another_engine_is_made_anew(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start(1)
            await made.run(params(CAT))
            (path,) = (tmp_path / "modules").iterdir()
            made.cache.put_module(
                path.name.removesuffix("-" + path.name[-64:]), path.name[-64:], 5, b"\x7fELF of another build"
            )
            await made.start(2)
            assert ok(await made.run(params(CAT, stdin=b"x"), slot=2)).stdout == b"x"

    async def test_a_damaged_blob_is_fetched_again(self, tmp_path: Path, server: BlobServer) -> None:
        ref = server.add(make_zip({"a": b"text"}))
        async with rig(tmp_path, server.url) as made:
            await made.start()
            (tmp_path / "blobs" / ref.removeprefix("sha256:")).write_bytes(b"PK damaged")
            outcome = ok(await made.run(params(p.app("helloworld/helloworld-c"), "cat:/a", rootfs=File(ref))))
            assert outcome.stdout.endswith(b"text")


async def test_a_worker_that_speaks_nonsense_is_killed(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        process = made.slots._alive[1]
        process.data_received(b"\xff" * 100)
        lost = await made.lost()
        assert "nonsense" in lost.reason
    assert children() == set()


async def test_ten_kills_in_a_row(tmp_path: Path) -> None:
    made: Rig
    async with rig(tmp_path) as made:
        for slot in range(1, 11):
            await made.start(slot)
            made.post(slot, params(SPIN))
            await asyncio.sleep(0.01)
            made.slots.stop(slot)
        await made.start(11)
        assert await made.run(params(NOOP), slot=11) == Exited(0)
