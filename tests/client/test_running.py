"""Limits, roots, usage, following and large outputs against a real broker and a real native provider."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import zipfile
from pathlib import Path

import pytest
import wasmtime

from wasimoff import AsyncClient, Chunk, Client, Limits, Result, Task, exits
from wasimoff.kept import Kept

from .command import start, wasimoff
from .stack import HELLO, TESTING, TSP, Stack, idle

MIB = 2**20

SAYS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "one\\ntwo\\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 4))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 0) (i32.const 20))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    %s))"""
"""Says "one" on stdout and "two" on stderr, then does something else."""
SPINS = bytes(wasmtime.wat2wasm(SAYS % "(loop $again (br $again))"))
ENDS = bytes(wasmtime.wat2wasm(SAYS % ""))


async def test_a_limit_ends_the_task_in_words_and_the_slot_goes_on(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        result = await client.run(TESTING / "spin.wasm", limits=Limits(wall=0.3))
        assert "time limit exceeded" in result.error
        assert result.status is None
        assert (await client.run(TESTING / "spin.wasm", limits=Limits(wall=0.3))).error.startswith("time limit exceeded")
        big = await client.run(TESTING / "cat.wasm", stdin=bytes(3 * MIB), limits=Limits(output=MIB))
        assert "output limit exceeded" in big.error
        assert (await client.run(TSP, ["rand", "5", "1"], limits=Limits(wall=30, memory=64 * MIB))).ok


async def test_usage_is_measured(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        usage = (await client.run(TESTING / "cat.wasm", stdin=bytes(100_000))).usage
        assert usage is not None
        assert usage.bytes_in >= 100_000
        assert usage.bytes_out == 100_000
        assert usage.memory >= 65536
        assert usage.wall > 0
        assert "wasmtime" in usage.engine
    ended = await wasimoff("run", "--usage", str(TSP), "rand", "5", "1", broker=stack.url)
    assert ended.err.startswith("used ")
    assert "wasmtime" in ended.err


async def test_several_roots(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("from a folder\n")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("b.txt", "from a zip\n")
    (tmp_path / "b.zip").write_bytes(buffer.getvalue())
    roots = ["--root", "/notes=notes", "--root", "/data/deep=b.zip"]
    ended = await wasimoff(
        "run", *roots, str(HELLO), "cat:/notes/a.txt", "cat:/data/deep/b.txt", broker=stack.url, cwd=tmp_path
    )
    assert b"from a folder\nfrom a zip\n" in ended.out, ended


async def test_output_comes_while_the_program_runs(stack: Stack) -> None:
    out = err = b""
    async with AsyncClient(stack.url) as client, contextlib.aclosing(client.follow(Task(SPINS))) as items:
        async with asyncio.timeout(60):
            while (out, err) != (b"one\n", b"two\n"):
                item = await anext(items)
                assert isinstance(item, Chunk)
                out, err = out + item.stdout, err + item.stderr
    await asyncio.to_thread(stack.wait, idle)


async def test_the_command_prints_while_the_program_runs(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "spins.wasm").write_bytes(SPINS)
    process = await start("run", "-f", "spins.wasm", broker=stack.url, cwd=tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"one\n"
        process.terminate()
        assert (await process.communicate())[1] == b"two\n"
    assert process.returncode == exits.TERMINATED
    await asyncio.to_thread(stack.wait, idle)


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_chunks_add_up(stack: Stack, transport: str) -> None:
    with Client(stack.url, transport=transport) as client:  # type: ignore[arg-type]
        for binary, args, stdin in (
            (ENDS, [], b""),
            (TSP, ["rand", "8", "7"], b""),
            (TESTING / "cat.wasm", [], os.urandom(MIB)),
        ):
            *chunks, result = client.follow(Task(binary, args, stdin=stdin))
            assert isinstance(result, Result)
            assert result.ok
            assert b"".join(item.stdout for item in chunks if isinstance(item, Chunk)) == result.stdout
            assert b"".join(item.stderr for item in chunks if isinstance(item, Chunk)) == result.stderr


async def test_large_outputs_and_artifacts_come_back(stack: Stack, tmp_path: Path) -> None:
    content, words = os.urandom(3 * MIB), os.urandom(MIB - 4096).hex()
    async with AsyncClient(stack.url) as client:
        result = await client.run(TESTING / "cat.wasm", stdin=content)
        assert result.check().stdout == content
        assert (await client.run(TESTING / "cat.wasm", stdin=content)).stdout == content
        result = await client.run(HELLO, ["write:/big.txt", words], artifacts=["/big.txt"])
    assert isinstance(result.check().archive, Kept)
    (written,) = result.extract(tmp_path / "out")
    assert written.read_text() == f"{words}\n"
