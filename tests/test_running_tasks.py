"""What is known of a task while it runs and after: traces, limits of time, output. Real broker, real native provider."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Protocol

import pytest

from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import Client, Task

from .client.stack import TESTING, Stack
from .contract.programs import app, wat

ENDLESS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 8) "\\10\\00\\00\\00\\06\\00\\00\\00hello\\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (loop (br 0))))"""


COMPLETE = [*range(21, 25), *range(31, 38), 25, 26]
"""The events of a task that was done at the first attempt."""


class HasUrl(Protocol):
    url: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack("--limit-wall", "3") as stack:
        stack.provider("native", 2)
        url = f"{stack.url}/api/storage/upload?name=endless.wasm"
        urllib.request.urlopen(urllib.request.Request(url, wat(ENDLESS)), timeout=60).close()
        yield stack


def run(stack: HasUrl, request: pb.Task.Wasip1.Request) -> pb.Task.Wasip1.Response:
    url = f"{stack.url}/api/client/wasimoff.v1.Tasks/RunWasip1"
    call = urllib.request.Request(url, request.SerializeToString(), {"Content-Type": "application/proto"})
    with urllib.request.urlopen(call, timeout=60) as answer:
        return pb.Task.Wasip1.Response.FromString(answer.read())


def task(program: bytes, *args: str) -> pb.Task.Wasip1.Request:
    return pb.Task.Wasip1.Request(params=pb.Task.Wasip1.Params(binary=pb.File(blob=program), args=["prog", *args]))


def test_a_trace_is_complete_and_in_order(stack: Stack) -> None:
    request = task(app("testing/noop"))
    request.info.trace.created = 1
    for _ in range(2):
        response = run(stack, request)
        assert response.ok.status == 0, response.error
        events = response.info.trace.events
        assert [event.event for event in events] == COMPLETE
        times = [event.unixnano for event in events]
        assert times == sorted(times)
        assert response.usage.engine.startswith("wasmtime ")
    assert response.usage.cached
    assert not response.usage.compile_us


def test_an_endless_loop_is_stopped_at_its_limit_again_and_again(stack: Stack) -> None:
    request = task(wat(ENDLESS))
    request.params.limits.wall_ms = 200
    for _ in range(10):
        response = run(stack, request)
        assert response.error == "time limit exceeded: ran for 0.2 s, at most 0.2 s" or _late(response.error)
        assert response.usage.wall_us >= 199_000
    assert run(stack, task(app("testing/noop"))).ok.HasField("status")


def first_output(url: str) -> list[str]:
    """The first two lines of events; then the client goes."""
    call = urllib.request.Request(url, b"", {"Accept": "text/event-stream"}, method="POST")
    with urllib.request.urlopen(call, timeout=60) as answer:
        return [answer.readline().decode().strip() for _ in range(2)]


def _late(error: str) -> bool:
    """On a busy machine a timer comes late, and what is said is what was."""
    ran = float(error.removeprefix("time limit exceeded: ran for ").removesuffix(" s, at most 0.2 s"))
    return ran > 0.2


def test_output_comes_while_the_program_runs_and_going_stops_it(stack: Stack) -> None:
    assert first_output(f"{stack.url}/api/client/run/endless.wasm") == ["event: stdout", 'data: "hello\\n"']
    stack.wait(lambda providers: all(not provider.running for provider in providers))


def test_the_operators_limit_holds_for_who_asks_nothing(stack: Stack) -> None:
    call = urllib.request.Request(f"{stack.url}/api/client/run/endless.wasm?follow", b"", method="POST")
    with urllib.request.urlopen(call, timeout=120) as answer:
        assert answer.read().startswith(b"hello\ntime limit exceeded: ran for 3")


def behind_a_long_one(url: str) -> list[bytes]:
    """What two workers answer, in order, when runs of a program that is known to be short go behind a long one."""
    with Client(url) as client:
        busy = client.upload(TESTING / "busy.wasm")
        for _ in range(3):
            list(client.run_many([Task(busy, ["0", "short"])] * 8))
        tasks = [Task(busy, ["2500", "long"]), *(Task(busy, ["0", "short"]) for _ in range(30))]
        return [result.stdout for result in client.run_many(tasks, in_flight=len(tasks))]


def test_nobody_waits_behind_a_run_that_is_longer_than_expected(stack: Stack) -> None:
    assert behind_a_long_one(stack.url) == [b"done short\n"] * 30 + [b"done long\n"]


def test_who_comes_later_takes_what_others_hold_behind_a_long_run() -> None:
    with Stack() as stack, Client(stack.url) as client:
        stack.provider("first", 1)
        busy = client.upload(TESTING / "busy.wasm")
        list(client.run_many([Task(busy, ["0", "short"])] * 8))
        tasks = [Task(busy, ["20000", "long"]), *(Task(busy, ["0", "short"]) for _ in range(8))]
        futures = [client.submit(task) for task in tasks]
        stack.wait(lambda providers: any(provider.running > 1 for provider in providers))
        stack.provider("second", 1)
        assert [future.result(15).provider for future in futures[1:]] == ["second"] * 8
        futures[0].cancel()


def test_what_runs_at_a_provider_that_leaves_ends_there_also_when_others_are_free() -> None:
    with Stack() as stack, Client(stack.url) as client:
        leaving = stack.provider("leaving", 2)
        futures = [client.submit(Task(TESTING / "busy.wasm", ["4000", name])) for name in "ab"]
        stack.wait(lambda providers: sum(provider.running for provider in providers) == 2)
        stack.provider("staying", 2)
        assert leaving.stop() == 0
        assert [future.result(15).provider for future in futures] == ["leaving"] * 2
