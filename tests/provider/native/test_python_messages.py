"""What an interpreter says is checked like what a stranger says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyodide_provider.core.run import Failed, Limits, PythonParams, Returned, Run, Usage
from pyodide_provider.native.python import messages
from pyodide_provider.native.python.messages import Nonsense
from pyodide_provider.native.python.packages import Files

RUN = Run(7, "t-1", 1, PythonParams(script="1", follow=True))


def test_an_order_holds_what_the_task_is_given() -> None:
    params = PythonParams(
        pickle=b"P", packages=("a",), envs=("A=1",), stdin=b"in", artifacts=("out",), shared=("sha256:x",), python="3.14",
        follow=True,
    )  # fmt: skip
    limits = messages.effective(Limits(memory=1 << 40), 5, 6)
    header, body = messages.order(Run(7, "t", 1, params), limits, Files((b"wheel",), (b"lib",)), b"P", b"zip", [b"S"])
    assert json.loads(header) == {
        "order": {
            "key": 7, "limits": {"output": 5, "files": 6, "memory": messages.MOST_MEMORY},
            "envs": ["A=1"], "artifacts": ["out"], "python": "3.14", "follow": True,
        },
        "places": {
            "refs": ["sha256:x"], "wheels": [[0, 5]], "libraries": [[5, 3]], "shared": [[8, 1]], "pickle": [9, 1],
            "stdin": [10, 2], "rootfs": [12, 3],
        },
    }  # fmt: skip
    assert b"".join(body) == b"wheellibSPinzip"


def test_an_end_becomes_ours_with_our_own_measure_of_time() -> None:
    told = {"key": 7, "value": [0, 1], "stdout": [1, 2], "version": "314", "seconds": -5, "usage": {"cpu": 99, "memory": 4096}}
    ended = messages.ended([told], b"Vxy", RUN, 1.5, 0.5)
    assert ended.outcome == Returned(b"V", b"xy", b"", None, "314")
    assert (ended.seconds, ended.usage) == (1.5, Usage(cpu=0.5, memory=4096))
    failed = messages.ended([{"key": 7, "error": "bad \ud800", "exception": [0, 2]}], b"EX", RUN, 0, 0)
    assert failed.outcome == Failed("bad ?", b"EX")


@pytest.mark.parametrize(
    "told",
    [
        None, {}, [], [1], [{}], [{"key": 8, "version": ""}], [{"key": 7}], [{"key": 7, "version": 1}],
        [{"key": 7, "error": ["x"]}],
        [{"key": 7, "version": "", "value": [0, 4]}], [{"key": 7, "version": "", "value": [-1, 1]}],
        [{"key": 7, "version": "", "value": [0, -1]}], [{"key": 7, "version": "", "value": [0.0, 1]}],
        [{"key": 7, "version": "", "value": [True, True]}], [{"key": 7, "version": "", "value": {"ref": "sha256:x"}}],
        [{"key": 7, "version": "", "stdout": "abc"}], [{"key": 7, "version": ""}, {"key": 7, "version": ""}],
    ],
)  # fmt: skip
def test_an_end_of_another_form_is_nonsense(told: Any) -> None:
    with pytest.raises(Nonsense):
        messages.ended(told, b"abc", RUN, 0, 0)


def test_a_long_error_is_cut_and_a_memory_that_can_not_be_is_nothing() -> None:
    ended = messages.ended([{"key": 7, "error": "x" * (1 << 20), "usage": {"memory": 1 << 60}}], b"", RUN, 0, 0)
    assert isinstance(ended.outcome, Failed)
    assert len(ended.outcome.error) == messages.MAX_TEXT
    assert ended.usage == Usage()


def test_output_belongs_to_the_run_that_is_followed() -> None:
    assert messages.output({"key": 7, "stdout": [0, 1], "stderr": [1, 2]}, b"oer", RUN) == (b"o", b"er")
    quiet = Run(7, "t-1", 1, PythonParams(script="1"))
    for told, run in [({"key": 8}, RUN), ({"key": 7}, quiet), ([], RUN)]:
        with pytest.raises(Nonsense):
            messages.output(told, b"", run)
