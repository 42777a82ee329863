"""What a run is given and gives back, on real processes: roots, stdin and output by reference, usage, output as it comes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyodide_provider.core.events import OutputWritten, RunsEnded
from pyodide_provider.core.run import Broken, Ended, Exited, Failed, File, Limits, Usage
from tests.contract import programs as p
from tests.contract.zips import make_zip, read_zip

from .rig import BlobServer, Rig, ok, params, peak, rig, wait_until, worker_of

NOOP, CAT, BIGOUT = p.app("testing/noop"), p.app("testing/cat"), p.app("testing/bigout")
HELLO = p.app("helloworld/helloworld-c")
MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[BlobServer]:
    made = BlobServer()
    yield made
    made.close()


def blob(files: dict[str, bytes], method: int = 8) -> File:
    return File(blob=make_zip(files, method))


async def said(made: Rig, *args: str, **more: object) -> str:
    """What the C program prints for its arguments."""
    outcome = ok(await made.run(params(HELLO, *args, **more)))
    return (outcome.stdout + outcome.stderr).decode().split(args[-1] + "\n", 1)[1]


class TestRoots:
    async def test_later_ones_cover_earlier_ones(self, tmp_path: Path) -> None:
        base = blob({"a": b"base", "d/x": b"base", "d/y": b"base", "f/g": b"base", "h": b"base"})
        roots = (
            ("/", blob({"a": b"second", "h/i": b"a folder now"})),
            ("/d", blob({"x": b"third", "new": b"third"})),
            ("/deep/er", blob({"z": b"fourth"})),
            ("/", blob({"f": b"a file now"})),
        )
        async with rig(tmp_path) as made:
            await made.start()
            for path, text in (
                ("/a", "second"),
                ("/d/x", "third"),
                ("/d/y", "base"),
                ("/d/new", "third"),
                ("/deep/er/z", "fourth"),
                ("/f", "a file now"),
                ("/h/i", "a folder now"),
            ):
                assert await said(made, f"cat:{path}", rootfs=base, roots=roots) == text
            assert await said(made, "ls:/", rootfs=base, roots=roots) == "a\nd/\ndeep/\nf\nh/\n"
            assert await said(made, "ls:/", roots=roots[1:2]) == "d/\n", "other roots are another tree"
            assert await said(made, "ls:/") == ""

    async def test_faults_name_the_root(self, tmp_path: Path) -> None:
        async with rig(tmp_path, files=1000) as made:
            await made.start()
            bad = params(NOOP, roots=(("/a", blob({"x": b""})), ("/b", File(blob=b"no zip"))))
            assert await made.run(bad) == Failed("root at /b: not a zip archive")
            large = params(NOOP, rootfs=blob({"x": bytes(600)}), roots=(("/b", blob({"x": bytes(600)})),))
            assert await made.run(large) == Failed("root at /b: files limit exceeded: 1200 bytes unpacked, at most 1000")
            assert await made.run(params(NOOP)) == Exited(0)

    async def test_what_one_run_writes_no_other_sees(self, tmp_path: Path) -> None:
        files = {"top": b"top", "d/e/f": b"deep", "d/g": b"g"}
        async with rig(tmp_path) as made:
            await made.start(1)
            await made.start(2)
            for _ in range(3):
                writes = ("write:/top", "changed", "write:/d/e/f", "changed", "write:/d/new", "x", "write:/fresh", "x")
                outcome = ok(await made.run(params(HELLO, *writes, rootfs=blob(files), artifacts=("/",))))
                packed = outcome.artifacts
                assert isinstance(packed, bytes)
                changed = {"top": b"changed\n", "d/e/f": b"changed\n", "d/new": b"x\n", "fresh": b"x\n"}
                assert read_zip(packed) == changed, "all that was written, and nothing else"
                for slot in (1, 2):
                    run = params(HELLO, "ls:/", "ls:/d", "cat:/top", "cat:/d/e/f", rootfs=blob(files))
                    text = ok(await made.run(run, slot=slot)).stdout.decode()
                    assert text.endswith("arg 4: cat:/d/e/f\nd/\ntop\ne/\ng\ntopdeep")
                assert await said(made, "ls:/") == ""

    async def test_it_is_unpacked_once_and_only_what_changed_is_put_back(self, tmp_path: Path) -> None:
        root = blob({f"d{number % 10}/{number}": b"%d" % number for number in range(200)})
        async with rig(tmp_path) as made:

            def inodes(slot: int) -> dict[str, int]:
                (tree,) = (made.scratch.path / str(slot)).glob("*/d0")
                return {path.name: path.stat().st_ino for path in tree.parent.glob("*/*")}

            def unpacked() -> list[tuple[int, int]]:
                found = [path.stat() for path in (made.scratch.path / "templates").glob("*/files/d0/0")]
                return [(each.st_ino, each.st_ctime_ns) for each in found]

            await made.start(1)
            assert await said(made, "cat:/d3/13", rootfs=root) == "13"
            before, template = inodes(1), unpacked()
            assert await said(made, "cat:/d4/14", rootfs=root) == "14"
            assert inodes(1) == before
            await said(made, "write:/d3/13", "other", rootfs=root)
            assert await said(made, "cat:/d3/13", rootfs=root) == "13"
            after = inodes(1)
            assert {name for name in before if after[name] != before[name]} <= {"13"}
            await made.start(2)
            assert ok(await made.run(params(HELLO, "cat:/d3/13", rootfs=root), slot=2)).stdout.endswith(b"13")
            assert unpacked() == template
            assert len(template) == 1

    async def test_a_slot_whose_template_is_gone_makes_it_anew(self, tmp_path: Path, server: BlobServer) -> None:
        root = File(server.add(make_zip({"a": b"text"})))
        async with rig(tmp_path, server.url) as made:
            await made.start()
            assert await said(made, "cat:/a", rootfs=root) == "text"
            for path in (made.scratch.path / "templates").glob("*/size"):
                path.unlink()
            await said(made, "write:/a", "other", rootfs=root)
            assert await said(made, "cat:/a", rootfs=root) == "text"


class TestLargeFiles:
    async def test_a_large_root_and_a_large_artifact_in_little_memory(self, tmp_path: Path, server: BlobServer) -> None:
        large = os.urandom(MIB) * 100
        root = File(server.add(make_zip({"large": large, "more": large}, 0)))
        async with rig(tmp_path, server.url, files=256 * MIB) as made:
            await made.start()
            await made.run(params(NOOP))
            before = peak(worker_of(made))
            outcome = ok(await made.run(params(NOOP, rootfs=root, artifacts=("large",), by_reference=True)))
            assert isinstance(outcome.artifacts, File)
            assert read_zip(server.blobs[outcome.artifacts.ref]) == {"large": large}
            assert peak(worker_of(made)) - before < 32 * MIB

    async def test_a_large_stdin_by_reference_is_not_copied(self, tmp_path: Path, server: BlobServer) -> None:
        large = os.urandom(MIB) * 48
        async with rig(tmp_path, server.url, output=64 * MIB, files=64 * MIB) as made:
            await made.start()
            await made.run(params(NOOP))
            before = peak(worker_of(made))
            outcome = ok(await made.run(params(CAT, stdin=File(server.add(large)), by_reference=True)))
            assert outcome.stdout == File(f"sha256:{hashlib.sha256(large).hexdigest()}")
            assert peak(worker_of(made)) - before < 32 * MIB
            assert server.blobs[outcome.stdout.ref] == large


class TestByReference:
    async def test_stdin(self, tmp_path: Path, server: BlobServer) -> None:
        async with rig(tmp_path, server.url) as made:
            await made.start()
            small = File(server.add(b"small"))
            assert ok(await made.run(params(CAT, stdin=small))).stdout == b"small"
            assert ok(await made.run(params(CAT, stdin=File(server.add(b""))))).stdout == b""
            missing = File("sha256:" + "0" * 64)
            assert await made.run(params(CAT, stdin=missing)) == Failed(f"Ref not found in storage: {missing.ref}")

    async def test_only_what_is_large_and_only_when_asked(self, tmp_path: Path, server: BlobServer) -> None:
        async with rig(tmp_path, server.url, output=8 * MIB) as made:
            await made.start()
            for size, stored in ((MIB, False), (MIB + 1, True)):
                outcome = ok(await made.run(params(BIGOUT, str(size), by_reference=True)))
                assert isinstance(outcome.stdout, File) is stored
            assert len(server.blobs[server.uploads[0]]) == MIB + 1
            both = ok(await made.run(params(BIGOUT, str(2 * MIB), "stderr", by_reference=True, artifacts=("none",))))
            assert isinstance(both.stderr, File)
            assert server.blobs[both.stderr.ref].endswith(b"\nwasimoff: artifact not found: none\n")
            assert isinstance(ok(await made.run(params(BIGOUT, str(2 * MIB)))).stdout, bytes)
            assert len(server.uploads) == 2

    async def test_a_storage_that_takes_nothing(self, tmp_path: Path, server: BlobServer) -> None:
        async with rig(tmp_path, server.url, output=8 * MIB) as made:
            await made.start()
            asked = params(BIGOUT, str(2 * MIB), by_reference=True)
            server.refuse_uploads = 413
            outcome = await made.run(asked)
            assert isinstance(outcome, Failed)
            assert outcome.error.startswith("the output is too large to be stored: 2097152 bytes")
            server.refuse_uploads = 503
            outcome = await made.run(asked)
            assert isinstance(outcome, Broken)
            assert "answered 503" in outcome.error
            server.refuse_uploads = 0
            assert isinstance(ok(await made.run(asked)).stdout, File)


class TestUsage:
    async def usage(self, made: Rig, *given: object, **more: object) -> Usage:
        made.post(1, params(*given, **more))  # type: ignore[arg-type]
        (end,) = await made.ended(1, 1)
        assert end.usage is not None
        assert isinstance(end.outcome, Exited), end
        return end.usage

    async def test_each_part_of_it(self, tmp_path: Path, server: BlobServer) -> None:
        async with rig(tmp_path, server.url, output=8 * MIB) as made:
            await made.start()
            first = await self.usage(made, CAT, stdin=b"12345")
            assert (first.bytes_in, first.cached, first.bytes_out) == (len(CAT) + 5, False, 0)
            assert first.compile > 0
            again = await self.usage(made, CAT)
            assert (again.compile, again.cached, again.bytes_in) == (0, True, len(CAT))
            zipped = make_zip({"a": b"x" * 1000})
            rooted = await self.usage(made, server.add(CAT), rootfs=File(blob=zipped), stdin=File(server.add(bytes(99))))
            assert rooted.bytes_in == len(CAT) + len(zipped) + 99
            grown = p.start("(drop (memory.grow (i32.const 9)))", p.MEMORY)
            assert (await self.usage(made, grown)).memory == 10 << 16
            busy = await self.usage(made, p.app("testing/busy"), "100", "x")
            assert busy.cpu > 0
            stored = await self.usage(made, BIGOUT, str(2 * MIB), by_reference=True)
            assert stored.bytes_out == 2 * MIB

    async def test_a_module_compiled_by_another_slot_is_cached(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start(2)
            await made.run(params(CAT), slot=2)
            await made.start(1)
            found = await self.usage(made, CAT)
            assert (found.cached, found.bytes_in) == (True, len(CAT))

    async def test_a_trap_tells_it_too(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(p.wat('(module (memory (export "memory") 3) (func (export "_start") unreachable))')))
            (end,) = await made.ended(1, 1)
            assert end.usage is not None
            assert end.usage.memory == 3 << 16


TICKS = p.start(
    "(local $n i32) (local $wait i32)"
    "(loop $again"
    " (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (local.set $wait (i32.const 400000000))"
    " (loop $spin (br_if $spin (local.tee $wait (i32.sub (local.get $wait) (i32.const 1)))))"
    " (local.set $n (i32.add (local.get $n) (i32.const 1)))"
    " (br_if $again (i32.lt_u (local.get $n) (i32.const 4))))",
    p.FD_WRITE,
    p.MEMORY,
    r'(data (i32.const 0) "\10\00\00\00\05\00\00\00")',
    r'(data (i32.const 16) "tick\n")',
)


class TestFollow:
    async def test_output_comes_while_the_run_runs(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            (sequence,) = made.post(1, params(TICKS, follow=True))
            first = await made.until(lambda event: isinstance(event, (OutputWritten, RunsEnded)))
            assert isinstance(first, OutputWritten)
            assert first.sequence == sequence
            assert first.stdout.startswith(b"tick\n")
            told = [first]
            while isinstance(event := await made.until(lambda event: True), OutputWritten):
                told.append(event)
            assert isinstance(event, RunsEnded)
            assert ok(event.ended[0].outcome).stdout == b"tick\n" * 4
            assert b"".join(each.stdout for each in told) == b"tick\n" * 4, "the last one came long before the end"
            assert len(told) > 1

    async def test_it_is_never_anothers_output(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            talks = params(CAT, stdin=b"not to be told")
            sequences = made.post(1, talks, params(TICKS, follow=True), talks, params(TICKS, follow=True), talks)
            sequences += made.post(1, talks)
            ends: list[Ended] = await made.ended(1, 6)
            assert [end.sequence for end in ends] == sequences
            told = [event for event in made.events if isinstance(event, OutputWritten)]
            assert {event.sequence for event in told} == {sequences[1], sequences[3]}
            for sequence in (sequences[1], sequences[3]):
                text = b"".join(event.stdout for event in told if event.sequence == sequence)
                assert text
                assert (b"tick\n" * 4).startswith(text)

    async def test_what_waits_behind_it_does_not_begin_before_its_end_is_known(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(TICKS, follow=True), params(CAT, stdin=b"another's"))
            await made.until(lambda event: isinstance(event, OutputWritten))
            # Nobody here takes its end meanwhile.
            time.sleep(3)  # noqa: ASYNC251
            stream = made.slots._alive[1]._streams[0]
            assert os.pread(stream, 4, 0) == b"tick"
            assert [ok(end.outcome).stdout for end in await made.ended(1, 2)] == [b"tick\n" * 4, b"another's"]

    async def test_a_run_that_is_not_followed_tells_nothing(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            assert ok(await made.run(params(TICKS))).stdout == b"tick\n" * 4
            assert made.events == []

    async def test_a_flood_is_told_in_parts(self, tmp_path: Path) -> None:
        async with rig(tmp_path, output=64 * MIB, files=64 * MIB) as made:
            await made.start()
            flood = params(p.NEVER_STOPS_WRITING, follow=True, limits=Limits(output=48 * MIB))
            made.post(1, flood)
            lost = await made.lost()
            assert lost.ended is not None
            assert lost.ended.outcome == Failed("output limit exceeded: more than 50331648 bytes")
            told = [event for event in made.events if isinstance(event, OutputWritten)]
            assert all(len(event.stdout) + len(event.stderr) <= 256 << 10 for event in told)
            made.events.clear()
            await asyncio.sleep(0.2)
            assert made.events == [], "a dead slot tells nothing"

    async def test_a_stopped_slot_tells_nothing(self, tmp_path: Path) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            made.post(1, params(TICKS, follow=True))
            await made.until(lambda event: isinstance(event, OutputWritten))
            made.slots.stop(1)
            made.events.clear()
            await asyncio.to_thread(wait_until, lambda: not (made.scratch.path / "1").exists())
            assert made.events == []


class TestTraps:
    async def test_where_it_stopped_and_what_it_said(self, tmp_path: Path) -> None:
        program = p.wat(
            f"(module {p.FD_WRITE} {p.MEMORY}"
            r' (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "oops\n")'
            " (func $inner (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) unreachable)"
            ' (func (call $inner)) (func $outer (call 2)) (func $main (export "_start") (call $outer)))'
        )
        async with rig(tmp_path) as made:
            await made.start()
            assert await made.run(params(program)) == Failed("unreachable: in inner\n  in outer\n  in main\noops")

    async def test_a_long_way_down_is_cut(self, tmp_path: Path) -> None:
        functions = "".join(f"(func $f{number} (call $f{number + 1}))" for number in range(30))
        program = p.wat(f'(module {functions} (func $f30 unreachable) (func (export "_start") (call $f0)))')
        async with rig(tmp_path) as made:
            await made.start()
            outcome = await made.run(params(program))
            lines = "\n  ".join(f"in f{number}" for number in range(30, 14, -1))
            assert outcome == Failed(f"unreachable: {lines}")

    @pytest.mark.parametrize(
        ("module", "error"),
        [
            (
                b"\0asm\1\0\0\0\1\4\1\x60\0",
                "at offset 10: unexpected end-of-file",
            ),
            (
                b"\0asm\1\0\0\0" + bytes.fromhex("01040160000003020100070a01065f737461727400000a050103006a0b"),
                "at offset 35: type mismatch: expected i32 but nothing on stack",
            ),
        ],
    )
    async def test_bad_modules_name_the_place(self, tmp_path: Path, module: bytes, error: str) -> None:
        async with rig(tmp_path) as made:
            await made.start()
            assert await made.run(params(module)) == Failed(f"not a WebAssembly module that wasmtime can run: {error}")
