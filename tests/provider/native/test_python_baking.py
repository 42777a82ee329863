"""What V8 has compiled is taken over by later interpreters, when it is of use, and by none when it is not."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyodide_provider.core.run import Failed, PythonParams, Returned, Run
from pyodide_provider.errors import HostFault
from pyodide_provider.native.frames import pack
from pyodide_provider.native.python import baking, messages, pieces
from pyodide_provider.native.python.interpreter import Interpreter
from pyodide_provider.native.python.messages import Nonsense
from pyodide_provider.native.python.node import Launcher, find
from pyodide_provider.native.python.packages import Files

VENDOR = Path(__file__).resolve().parents[3] / "static" / "vendor"


@pytest.fixture
def made() -> Iterator[pieces.Pieces]:
    native = json.loads((VENDOR / "native.json").read_text())
    fresh = pieces.Pieces((), [(VENDOR / native[name][0]).read_bytes() for name in pieces.NAMES])
    yield fresh
    pieces._close(fresh.descriptors)


async def start(made: pieces.Pieces, *options: str) -> Interpreter:
    interpreter = Interpreter(Launcher(find()), made, options=options)
    await interpreter.ready()
    return interpreter


def frame(header: object) -> bytes:
    return b"".join(pack(json.dumps(header)))


async def end(interpreter: Interpreter) -> None:
    interpreter.kill()
    await interpreter.gone()


async def value(made: pieces.Pieces, script: str) -> tuple[bool, Any]:
    """(whether it took what was baked, the outcome) of a task."""
    interpreter = await start(made)
    run = Run(1, "t", 1, PythonParams(script=script))
    order = messages.order(run, baking.LIMITS, Files(), b"", None, ())
    ended = await interpreter.run(run, baking.LIMITS, order, lambda: None, lambda out, err: None)
    await end(interpreter)
    return interpreter.took_baked, ended.outcome


async def test_what_one_has_compiled_all_take_and_nothing_else_of_it(made: pieces.Pieces) -> None:
    assert (await value(made, "1"))[0] is False
    baker = await start(made, *baking.OPTIONS)
    made.bake(await baker.bake())
    await end(baker)
    took, outcome = await value(
        made, "import random, sys\n('fibonacci' in globals(), 'dataclasses' in sys.modules, random.random())"
    )
    assert took
    assert isinstance(outcome, Returned), outcome
    again = (
        await value(made, "import random, sys\n('fibonacci' in globals(), 'dataclasses' in sys.modules, random.random())")
    )[1]
    assert isinstance(again, Returned)
    assert outcome.value != again.value, "random numbers are each one's own"
    took, outcome = await value(made, "def f(n): return f(n)\nf(1)")
    assert took
    assert isinstance(outcome, Failed)
    assert "RecursionError" in outcome.error


async def test_what_does_not_fit_is_not_taken(made: pieces.Pieces) -> None:
    for spoiled in (b"x" * 1000, b""):
        made.bake((spoiled, spoiled))
        took, outcome = await value(made, "6 * 7")
        assert not took
        assert isinstance(outcome, Returned)


async def test_one_that_was_not_asked_to_can_bake_nothing(made: pieces.Pieces) -> None:
    interpreter = await start(made)
    interpreter._run = baking.RUN
    with pytest.raises(Nonsense):
        interpreter._hear({"baked": {"code": [0, 1], "bytecode": [1, 1]}}, b"xx")
    await end(interpreter)


async def test_a_baker_that_says_something_else_is_told(made: pieces.Pieces) -> None:
    baker = await start(made, *baking.OPTIONS)
    baking_it = asyncio.create_task(baker.bake())
    await asyncio.wait([baker._ended])
    baker.data_received(frame({"failed": "V8 has no such function"}))
    with pytest.raises(HostFault, match="baked things of another form"):
        await baking_it
    await baker.gone()


async def test_a_baker_that_dies_is_told(made: pieces.Pieces) -> None:
    baker = await start(made, *baking.OPTIONS)
    baker.kill()
    with pytest.raises(HostFault):
        await baker.bake()
    await baker.gone()


def test_what_it_says_is_checked() -> None:
    good = {"code": [0, 2], "bytecode": [2, 1]}
    assert baking.baked(good, b"abc") == (b"ab", b"c")
    for told in (None, [], {}, {**good, "code": [0, 4]}, {**good, "bytecode": [3, 0]}, {**good, "code": "ab"}):
        with pytest.raises(Nonsense):
            baking.baked(told, b"abc")
    with pytest.raises(Nonsense, match="of no use"):
        baking.baked({"code": [0, 1], "bytecode": [1, baking.MOST + 1]}, bytes(baking.MOST + 2))


def test_pieces_are_as_before_when_what_was_baked_is_of_no_use(made: pieces.Pieces) -> None:
    before = list(made.descriptors)
    made.bake((b"code", b"bytecode"))
    made.bake((b"other", b"bytes"))
    assert [os.pread(descriptor, 99, 0) for descriptor in made.descriptors[len(before) :]] == [b"other", b"bytes"]
    made.unbake()
    assert made.descriptors == before
