"""Python tasks between the wire, the core's data and a slot's messages."""

from __future__ import annotations

import json

import pytest

from pyodide_provider import slot_messages
from pyodide_provider.core import events as e
from pyodide_provider.core.backlog import weight
from pyodide_provider.core.run import Ended, Failed, File, PythonParams, Returned
from pyodide_provider.errors import TaskFault
from pyodide_provider.runtime import PYTHON, WASIP1
from pyodide_provider.translate import python_run_of
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.provider.fakes import Bench

REF = "sha256:" + "0a" * 32


def asked(**params: object) -> pb.Task.Pyodide.Request:
    request = pb.Task.Pyodide.Request(params=pb.Task.Pyodide.Params(**params))  # type: ignore[arg-type]
    request.info.id = "t-1"
    return request


def test_all_that_a_request_says_comes_to_the_slot() -> None:
    request = asked(
        pickle=b"abc", packages=["numpy"], envs=["A=1"], stdin=b"in", rootfs=pb.File(ref=REF), artifacts=["out"],
        shared=[pb.File(ref=REF)], python="3.14", network=True, limits=pb.Task.Limits(wall_ms=1500, memory=7),
    )  # fmt: skip
    run = python_run_of(9, request)
    assert isinstance(run.params, PythonParams)
    header, body = slot_messages.python_message(run)
    field = json.loads(header)["python"]
    assert field == {
        "key": 9, "pickle": {"blob": [0, 3]}, "stdin": [3, 2], "rootfs": {"ref": REF}, "packages": ["numpy"], "envs": ["A=1"],
        "artifacts": ["out"], "shared": [REF], "limits": {"wall": 1.5, "memory": 7}, "python": "3.14", "network": True,
    }  # fmt: skip
    assert body == b"abcin"
    assert weight(run.params) > len(REF)


def test_a_large_pickle_goes_by_reference() -> None:
    run = python_run_of(9, asked(pickle_file=pb.File(ref=REF)))
    assert isinstance(run.params, PythonParams)
    assert run.params.pickle == File(REF)
    assert json.loads(slot_messages.python_message(run)[0])["python"]["pickle"] == {"ref": REF}


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked(), "neither"),
        (asked(script="1", pickle_file=pb.File(ref=REF)), "script and pickle_file"),
        (asked(script="1", envs=["A"]), "KEY=VALUE"),
        (asked(script="1", envs=["A=\0"]), "NUL"),
        (asked(pickle=b"", shared=[pb.File(ref="alias")]), "sha256:"),
        (asked(pickle_file=pb.File(ref="alias")), "sha256:"),
        (asked(script="1", rootfs=pb.File()), "the rootfs needs a ref or a blob"),
    ],
)
def test_what_nobody_could_do_is_refused_in_words(request_: pb.Task.Pyodide.Request, why: str) -> None:
    with pytest.raises(TaskFault, match=why):
        python_run_of(1, request_)


def test_ends_of_python() -> None:
    body = b"VALUEoutZIPexc"
    ends = [
        {"key": 1, "seconds": 0.5, "version": "314", "value": [0, 5], "stdout": [5, 3], "artifacts": [8, 3]},
        {"key": 2, "seconds": 0.5, "error": "ValueError: no", "exception": [11, 3]},
    ]
    assert slot_messages.ended(ends, body) == (
        Ended(1, Returned(b"VALUE", b"out", b"", b"ZIP", "314"), 0.5),
        Ended(2, Failed("ValueError: no", b"exc"), 0.5),
    )


def test_from_the_request_to_its_answer() -> None:
    bench = Bench(kinds=(WASIP1, PYTHON)).connect()
    assert bench.ask(7, asked(script="1 + 1")) == []
    ((slot, runs),) = bench.workers.posts
    assert runs[0].sequence == 7
    bench.runtime.feed(e.RunsEnded(slot, (Ended(7, Returned(b"V", b"o", b"e", b"Z", "314.0.7"), 0.1),)))
    (answer,) = bench.link.take()
    response = codec.unpack(answer)
    assert isinstance(response, pb.Task.Pyodide.Response)
    ok = response.ok
    assert (ok.pickle, ok.stdout, ok.stderr, ok.version) == (b"V", b"o", b"e", "314.0.7")
    assert (ok.artifacts.blob, response.info.id) == (b"Z", "t-1")
    assert bench.state.done == 1


def test_an_exception_is_told_with_its_pickle() -> None:
    bench = Bench(kinds=(WASIP1, PYTHON)).connect()
    bench.ask(7, asked(script="1 / 0"))
    (answer,) = bench.end(bench.workers.posts[0][0], [7], Failed("ZeroDivisionError", b"P"))
    response = codec.unpack(answer)
    assert isinstance(response, pb.Task.Pyodide.Response)
    assert (response.error, response.exception) == ("ZeroDivisionError", b"P")


def test_a_provider_without_python_says_so() -> None:
    bench = Bench().connect()
    (answer,) = bench.ask(7, asked(script="1"))
    assert answer.error == "this provider runs no Python tasks"


def test_which_kinds_it_takes_is_announced() -> None:
    bench = Bench(kinds=(WASIP1, PYTHON))
    bench.runtime.feed(e.ConnectWanted())
    bench.runtime.feed(e.LinkOpened())
    told = [codec.unpack(envelope) for envelope in bench.link.take()]
    assert [list(event.runs) for event in told if isinstance(event, pb.Event.ProviderResources)] == [["wasip1", "pyodide"]]
