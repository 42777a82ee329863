"""Standard input on its way from the broker to the slots."""

from __future__ import annotations

import pytest

from pyodide_provider.core import events as e
from pyodide_provider.runtime import INTERACTIVE, PYTHON, WASIP1
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

from .fakes import Bench, task

ALL = (WASIP1, PYTHON, INTERACTIVE)


def interactive(name: str) -> pb.Task.Wasip1.Request:
    request = task(name)
    request.qos.interactive = True
    return request


def typed(sequence: int, data: bytes, end: bool = False) -> bytes:
    return codec.event(1, pb.Event.TaskInput(request=sequence, stdin=data, end=end))


@pytest.mark.parametrize("batch", [False, True])
def test_input_reaches_its_slot_behind_its_run(batch: bool) -> None:
    bench = Bench(1, ALL).connect()
    bench.say(codec.request(5, interactive("a")), typed(5, b"x"), typed(5, b"y", end=True), batch=batch)
    assert [run.params.interactive for _, (run,) in bench.workers.posts] == [True]
    assert bench.workers.puts == [(1, 5, b"x", False), (1, 5, b"y", True)]


def test_what_is_read_is_told_to_the_broker() -> None:
    bench = Bench(1, ALL).connect()
    bench.say(codec.request(5, interactive("a")), typed(5, b"abc"))
    bench.runtime.feed(e.InputTaken(1, 5, 2))
    (told,) = bench.link.take()
    assert (told.type, codec.unpack(told)) == (codec.EVENT, pb.Event.TaskInputTaken(request=5, taken=2))


def test_input_without_a_run_is_nothing() -> None:
    bench = Bench(1, ALL).connect()
    assert bench.say(typed(5, b"x")) == []
    bench.ask(5, task("a"))
    assert bench.say(typed(5, b"x", end=True)) == []
    assert bench.workers.puts == []


def test_who_takes_no_input_says_so() -> None:
    bench = Bench(1, (WASIP1,)).connect()
    (answer,) = bench.ask(5, interactive("a"))
    assert answer.error == "this provider takes no input while a task runs"


def test_a_large_stdin_beside_it_and_python_are_refused_in_words() -> None:
    bench = Bench(1, ALL).connect()
    request = interactive("a")
    request.params.stdin_file.ref = "sha256:" + "0b" * 32
    (answer,) = bench.ask(5, request)
    response = codec.unpack(answer)
    assert isinstance(response, pb.Task.Wasip1.Response)
    assert "not in stdin_file" in response.error
    python = pb.Task.Pyodide.Request(params=pb.Task.Pyodide.Params(script="1"))
    python.qos.interactive = True
    (answer,) = bench.ask(6, python)
    refused = codec.unpack(answer)
    assert isinstance(refused, pb.Task.Pyodide.Response)
    assert refused.error == "a Python task takes its stdin with the request, not while it runs"
