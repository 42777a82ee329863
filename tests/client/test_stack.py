"""Client and command against a real broker and real native providers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wasimoff import AsyncClient, BrokerError, Client, NotFound, Result, Task, TaskRejected, exits

from .command import start, wasimoff
from .stack import CITIES, HELLO, TESTING, TSP, Process, Stack, idle


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_the_main_job_with_both_clients_and_transports(stack: Stack, transport: str) -> None:
    tasks = [Task(TSP, ["read"], stdin=path.read_bytes(), label=path.name) for path in CITIES]
    assert len(tasks) == 32
    async with AsyncClient(stack.url, transport=transport) as client:  # type: ignore[arg-type]
        results = [result async for result in client.run_many(tasks)]
    assert sorted(result.label for result in results) == [path.name for path in CITIES]
    assert all(result.ok and result.provider == "native" and b"route " in result.stdout for result in results)
    with Client(stack.url, transport=transport) as plain:  # type: ignore[arg-type]
        again = list(plain.run_many(tasks, ordered=True))
    assert [result.label for result in again] == [path.name for path in CITIES]
    assert {r.label: r.stdout for r in again} == {r.label: r.stdout for r in results}


async def test_streams_are_binary_and_large(stack: Stack) -> None:
    content = os.urandom(5_000_000)
    async with AsyncClient(stack.url) as client:
        assert (await client.run(TESTING / "cat.wasm", stdin=content)).stdout == content
    async with AsyncClient(stack.url, transport="http") as client:
        assert (await client.run(TESTING / "cat.wasm", stdin=content)).stdout == content


async def test_large_stdin_goes_by_way_of_the_storage(stack: Stack) -> None:
    content = os.urandom(2_000_000)
    ref = f"sha256:{hashlib.sha256(content).hexdigest()}"
    for transport in ("websocket", "http"):
        async with AsyncClient(stack.url, transport=transport) as client:  # type: ignore[arg-type]
            assert (await client.run(TESTING / "cat.wasm", stdin=content)).stdout == content
            assert await client._open().storage.stored(ref) == ref


async def test_exit_codes(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        tasks = [Task(TESTING / "exitcode.wasm", [str(code)]) for code in range(256)]
        results = [result async for result in client.run_many(tasks, ordered=True)]
    assert [result.status for result in results] == list(range(256))


async def test_rootfs_environment_and_artifacts(stack: Stack, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "notes").mkdir(parents=True)
    (root / "notes" / "today.txt").write_text("Buy bread.\n")
    async with AsyncClient(stack.url) as client:
        result = await client.run(
            HELLO, ["cat:/notes/today.txt", "write:/notes/done.txt", "bread ü"], env={"GREETING": "hej"}, rootfs=root,
            artifacts=["/notes/done.txt"],
        )  # fmt: skip
    assert result.check().ok
    assert "env GREETING=hej\n" in result.text
    assert "Buy bread.\n" in result.text
    (written,) = result.extract(tmp_path / "out")
    assert written.name == "done.txt"
    assert written.read_text() == "bread ü\n"


async def test_a_trap_is_a_value(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        result = await client.run(TESTING / "trap.wasm")
        assert (result.status, result.ok, result.code, result.provider) == (None, False, "", "native")
        assert "unreachable" in result.error
        result = await client.run(b"\0asm\x01\0\0\0 is no module")
        assert result.error


async def test_refusals(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        with pytest.raises(NotFound, match="nobody-uploaded-this"):
            await client.run("nobody-uploaded-this")
        results = [result async for result in client.run_many([Task("nobody-uploaded-this"), Task(TSP, ["rand", "5", "1"])])]
        assert [r.code for r in sorted(results, key=lambda r: r.index)] == ["not_found", ""]
        with pytest.raises(BrokerError, match="neither a WebAssembly module"):
            await client.upload(b"hello")
        spinning = [client.submit(Task(TESTING / "spin.wasm")) for _ in range(2)]
        await asyncio.to_thread(stack.wait, lambda providers: providers[0].running == 2)
        with pytest.raises(TaskRejected, match="no slot is free"):
            await client.run(TSP, ["rand", "5"], immediate=True)
        for handle in spinning:
            handle.cancel()
    await asyncio.to_thread(stack.wait, idle)


async def test_a_deadline_ends_the_task_and_frees_its_slot(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        started = time.monotonic()
        results = await asyncio.gather(*(client.run(TESTING / "spin.wasm", deadline=1.0) for _ in range(2)))
        assert time.monotonic() - started > 0.9
        assert [(r.ok, r.code) for r in results] == [(False, "deadline_exceeded")] * 2
        assert (await client.run(TSP, ["rand", "5", "1"])).ok


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_cancelling_frees_the_slot(stack: Stack, transport: str) -> None:
    async with AsyncClient(stack.url, transport=transport) as client:  # type: ignore[arg-type]
        handles = [client.submit(Task(TESTING / "spin.wasm")) for _ in range(2)]
        await asyncio.to_thread(stack.wait, lambda providers: providers[0].running == 2)
        for handle in handles:
            handle.cancel()
        await asyncio.to_thread(stack.wait, idle, 5)
        assert (await client.run(TSP, ["rand", "5", "1"])).ok


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_frees_the_slot(stack: Stack, number: signal.Signals) -> None:
    process = await start("run", str(TESTING / "spin.wasm"), broker=stack.url)
    await asyncio.to_thread(stack.wait, lambda providers: providers[0].running == 1)
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == 128 + number
    await asyncio.to_thread(stack.wait, idle, 5)


async def test_a_client_that_is_killed_frees_the_slot(stack: Stack) -> None:
    process = await start("run", str(TESTING / "spin.wasm"), broker=stack.url)
    await asyncio.to_thread(stack.wait, lambda providers: providers[0].running == 1)
    process.kill()
    await process.communicate()
    await asyncio.to_thread(stack.wait, idle, 5)


async def test_a_trace_tells_the_whole_way(stack: Stack) -> None:
    async with AsyncClient(stack.url) as client:
        result = await client.run(TSP, ["rand", "5", "1"], trace=True)
    names = [event.event for event in result.trace]
    assert names[:3] == ["ClientTransmitRequest", "BrokerReceivedClientRequest", "BrokerQueueTask"]
    assert names[-2:] == ["BrokerTransmitClientResponse", "ClientReceivedResponse"]
    assert [event.unixnano for event in result.trace] == sorted(event.unixnano for event in result.trace)


async def test_the_command_does_the_main_job(stack: Stack) -> None:
    paths = [str(path) for path in CITIES]
    ended = await wasimoff("job", "--binary", str(TSP), "--arg", "read", "--each-stdin", *paths, broker=stack.url)
    assert ended.code == 0
    text = ended.out.decode()
    for path in paths:
        assert f"{path} · native · exit 0 · " in text
    assert text.count("  route ") == 32
    assert "32 ok, 0 failed" in ended.err
    ended = await wasimoff("job", "--json", "--binary", str(TSP), "--arg", "frob", "--each-arg", "1", "2", broker=stack.url)
    assert ended.code == exits.FAILED
    assert {json.loads(line)["status"] for line in ended.out.splitlines()} == {2}


async def test_the_command_runs_uploads_and_shows(stack: Stack, tmp_path: Path) -> None:
    ended = await wasimoff("upload", str(TSP), "--name", "tsp", broker=stack.url)
    assert ended.code == 0
    ref = ended.out.decode().strip()
    for binary in ("tsp", ref, str(TSP)):
        ended = await wasimoff("run", binary, "rand", "6", "7", broker=stack.url)
        assert (ended.code, ended.err) == (0, "")
        assert b"route " in ended.out
    ended = await wasimoff("run", str(TESTING / "trap.wasm"), broker=stack.url)
    assert (ended.code, ended.out) == (exits.NO_STATUS, b"")
    assert "unreachable" in ended.err
    ended = await wasimoff("run", str(HELLO), "write:/a.txt", "hi", "exit:7", "--artifact", broker=stack.url)
    assert ended.code == 7
    ended = await wasimoff("run", "--artifact", "/a.txt", str(HELLO), "write:/a.txt", "hi", broker=stack.url, cwd=tmp_path)
    assert ended.code == 0
    assert (tmp_path / "a.txt").read_text() == "hi\n"
    ended = await wasimoff("ps", broker=stack.url)
    assert "native" in ended.out.decode()
    assert "wasmtime" in ended.out.decode()
    ended = await wasimoff("-exec", "tsp", "rand", "6", "7", broker=stack.url)
    assert (ended.code, b"route " in ended.out) == (0, True)


async def test_an_upload_over_the_limit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "big.wasm"
    with path.open("wb") as file:
        file.write(b"\0asm\x01\0\0\0")
        file.truncate(50_000_000)
    with Stack("--max-upload", "1MiB") as stack:
        ended = await wasimoff("upload", str(path), broker=stack.url)
        assert (ended.code, ended.out) == (exits.REFUSED, b"")
        assert "WASIMOFF_MAX_UPLOAD" in ended.err


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_a_task_over_the_limit_is_told_and_the_others_go_on(transport: str) -> None:
    with Stack("--max-message", "1MiB", "--max-body", "1MiB") as stack:
        await asyncio.to_thread(stack.provider, "native")
        async with AsyncClient(stack.url, transport=transport) as client:  # type: ignore[arg-type]
            tasks = [Task(TESTING / "noop.wasm", ["x" * size]) for size in [1000] * 20 + [2_000_000] + [1000] * 20]
            results = [result async for result in client.run_many(tasks, ordered=True)]
            assert [result.ok for result in results] == [True] * 20 + [False] + [True] * 20
            assert "large" in results[20].error or "more than the broker takes" in results[20].error


def test_a_large_upload_takes_little_memory(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "large.wasm"
    with path.open("wb") as file:
        file.write(b"\0asm\x01\0\0\0")
        file.truncate(300_000_000)
    code = (
        "import re, sys, wasimoff\n"
        "with wasimoff.Client(sys.argv[1]) as client: print(client.upload(sys.argv[2]))\n"
        # Not ru_maxrss, which begins with the size of the process that started it.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stack.url, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    ref, kilobytes = done.stdout.split()
    assert ref.startswith("sha256:")
    assert int(kilobytes) < 120_000


def finish_a_job(
    stack: Stack, count: int, results: list[Result], args: tuple[str, ...] = ("rand", "8", "3")
) -> threading.Thread:
    def work() -> None:
        with Client(stack.url) as client:
            results.extend(client.run_many((Task(TSP, args) for _ in range(count)), in_flight=32))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def check_all_once(results: list[Result], count: int) -> None:
    assert sorted(result.index for result in results) == list(range(count))
    assert {(result.error, result.status) for result in results} == {("", 0)}
    assert len({result.stdout for result in results}) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_outlives_its_broker(number: signal.Signals) -> None:
    with Stack() as stack:
        stack.provider("native")
        results: list[Result] = []
        thread = finish_a_job(stack, 400, results)
        stack.wait(lambda providers: sum(p.done for p in providers) > 40)
        stack.restart_broker(number)
        thread.join(60)
        assert not thread.is_alive()
        check_all_once(results, 400)


def test_a_job_outlives_its_providers() -> None:
    with Stack() as stack:
        stack.provider("steady", 1)
        victim = stack.provider("victim", 1)
        results: list[Result] = []
        thread = finish_a_job(stack, 250, results, ("rand", "10", "3"))
        for _ in range(2):
            stack.wait(lambda providers: any(p.name == "victim" and p.done > 3 for p in providers))
            victim.stop(signal.SIGKILL)
            stack.wait(lambda providers: all(p.name != "victim" for p in providers))
            victim = stack.provider("victim", 1)
        thread.join(60)
        assert not thread.is_alive()
        check_all_once(results, 250)
        assert {result.provider for result in results} == {"steady", "victim"}


async def test_a_short_queue_is_met_with_patience() -> None:
    with Stack("--queue-limit", "8") as stack:
        await asyncio.to_thread(stack.provider, "native")
        async with AsyncClient(stack.url) as client:
            tasks = (Task(TSP, ["rand", "5", "1"]) for _ in range(300))
            results = [result async for result in client.run_many(tasks, in_flight=100)]
    check_all_once(results, 300)


def test_broker_and_provider_are_the_process_that_was_started(stack: Stack) -> None:
    """So that signals, supervisors and containers see the real thing; both end in order."""
    with Stack() as other:
        provider = other.provider("native")
        for process, module in ((other.broker, "broker"), (provider, "pyodide_provider")):
            assert f"-m\0{module}\0" in Path(f"/proc/{process.pid}/cmdline").read_text()
        assert provider.stop() == 0
        assert other.broker.stop() == 0
        process = Process("provider", "--workers", "1", "--cache", str(other.folder), broker=other.url)
        process.wait_for("(?i)refused|away|again|connect")
        assert process.stop() == 0


def test_a_folder_called_broker_is_not_what_is_meant(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "__main__.py").write_text("print('wrong')")
    script = Path(sys.executable).with_name("wasimoff")
    done = subprocess.run([script, "broker", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert "--http-listen" in done.stdout
