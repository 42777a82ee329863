"""Python tasks in a tab and under Node: each in an interpreter of its own, with what it asked for and nothing else."""

from __future__ import annotations

import io
import math
import operator
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.conftest import Lender
from e2e.processes import TESTING
from e2e.python import ask, call, upload, value
from pyodide_provider.wire import messages_pb2 as pb

PACKAGES = [
    ("msgpack", "import msgpack\nmsgpack.unpackb(msgpack.packb([1, 'a']))", [1, "a"]),
    ("pydantic-core", "from pydantic_core import to_json\nto_json({'a': 1})", b'{"a":1}'),
]


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_a_script_gives_the_value_of_its_last_expression(lender: Lender) -> None:
    response = ask(lender.broker.url, script="import sys\nprint('out')\nprint('err', file=sys.stderr)\n[1, {'a': 2.5}, None]")
    assert value(response) == [1, {"a": 2.5}, None]
    assert (response.ok.stdout, response.ok.stderr) == (b"out\n", b"err\n")
    assert response.ok.version.startswith("3")
    assert response.info.provider == lender.kind
    assert response.usage.memory > 1 << 20


def test_a_function_is_called(lender: Lender) -> None:
    assert value(ask(lender.broker.url, pickle=call(math.factorial, 30))) == math.factorial(30)
    assert value(ask(lender.broker.url, pickle=call(sorted, [3, 1, 2], reverse=True))) == [3, 2, 1]


def test_await_at_the_top(lender: Lender) -> None:
    assert value(ask(lender.broker.url, script="import asyncio\nawait asyncio.sleep(0.01)\n7")) == 7


def test_what_it_is_given(lender: Lender) -> None:
    script = (
        "import os, sys\n(os.environ['A'], sys.stdin.read(), os.getcwd(), open('in.txt').read(), sorted(os.listdir('/mnt')))"
    )
    given = {"envs": ["A=x=y"], "stdin": "grüß\n".encode(), "rootfs": pb.File(blob=zipped(**{"in.txt": b"hi"}))}
    assert value(ask(lender.broker.url, script=script, **given)) == ("x=y", "grüß\n", "/mnt", "hi", ["in.txt"])


def test_artifacts(lender: Lender) -> None:
    script = """
import os
from pathlib import Path
os.makedirs("out/deep")
Path("out/deep/a.txt").write_text("A")
Path("b.bin").write_bytes(b"B")
Path("/tmp/c").write_text("C")
"""
    rootfs = pb.File(blob=zipped(**{"old.bin": b"old"}))
    response = ask(lender.broker.url, script=script, rootfs=rootfs, artifacts=["out", "*.bin", "/tmp/c", "none"])
    value(response)
    with zipfile.ZipFile(io.BytesIO(response.ok.artifacts.blob)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {"out/deep/a.txt": b"A", "b.bin": b"B", "tmp/c": b"C"}, "what the rootfs held already stays out"
    assert b"artifact not found: none" in response.ok.stderr


def test_an_exception_comes_with_the_users_line_and_as_itself(lender: Lender) -> None:
    response = ask(lender.broker.url, script="def f(x):\n    return 1 / x\n\nf(0)")
    assert 'File "task.py", line 2, in f\n    return 1 / x' in response.error
    assert response.error.endswith("ZeroDivisionError: division by zero")
    assert "guest" not in response.error
    assert isinstance(pickle.loads(response.exception), ZeroDivisionError)


def test_a_value_that_can_not_be_pickled(lender: Lender) -> None:
    response = ask(lender.broker.url, script="(i for i in range(3))")
    assert response.ok.pickle == b""
    assert b"generator can't be pickled" in response.ok.stderr


def test_another_version_of_python_is_refused_before_anything_is_loaded(lender: Lender) -> None:
    response = ask(lender.broker.url, pickle=b"nonsense", python="3.11")
    assert "needs Python 3.11, here is Python 3.14" in response.error


@pytest.mark.parametrize("bad", [b"nonsense", pickle.dumps(7), pickle.dumps([1, 2, 3])])
def test_a_pickle_that_is_none_or_something_else(lender: Lender, bad: bytes) -> None:
    assert "pickle" in ask(lender.broker.url, pickle=bad).error


def test_shared_blobs_stand_where_the_pickle_names_them(lender: Lender) -> None:
    blob = pickle.dumps(list(range(100_000)))
    ref = upload(lender.broker.url, blob)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("wasimoff.shared", obj.ref) if isinstance(obj, pb.File) else None

    packed = io.BytesIO()
    Pickler(packed).dump([operator.itemgetter(-1), (pb.File(ref=ref),), {}])
    assert value(ask(lender.broker.url, pickle=packed.getvalue(), shared=[pb.File(ref=ref)])) == 99_999
    assert "params.shared does not list" in ask(lender.broker.url, pickle=packed.getvalue()).error


LEAVE = """
import builtins, os, sys
builtins.sorted = None
os.environ["LEFT"] = "1"
sys.left = 1
open("/tmp/left", "w").write("x")
open("left", "w")
0
"""
LOOK = """
import builtins, os, sys
[builtins.sorted("ba"), os.environ.get("LEFT"), hasattr(sys, "left"), os.path.exists("/tmp/left"), os.listdir("/mnt")]
"""


def test_nothing_is_left_for_the_next_task(lender: Lender) -> None:
    for _ in range(3):
        value(ask(lender.broker.url, script=LEAVE))
        assert value(ask(lender.broker.url, script=LOOK)) == [["a", "b"], None, False, False, []]


def test_each_task_draws_other_random_numbers(lender: Lender) -> None:
    script = "import random, tempfile, uuid\n(random.random(), tempfile.mktemp(), str(uuid.uuid4()))"
    drawn = [value(ask(lender.broker.url, script=script)) for _ in range(3)]
    assert all(len(set(column)) == 3 for column in zip(*drawn, strict=True)), drawn


def test_many_at_once(lender: Lender) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: value(ask(lender.broker.url, script=f"{n} ** 2")), range(12)))
    assert found == [n**2 for n in range(12)]
    assert lender.client.run(TESTING / "noop.wasm").ok


@pytest.mark.parametrize(("package", "script", "expected"), PACKAGES)
def test_packages_come_by_way_of_the_broker(lender: Lender, package: str, script: str, expected: object) -> None:
    response = ask(lender.broker.url, script=script, packages=[package])
    if "pip could not get" in response.error:
        pytest.skip(response.error)
    assert value(response) == expected
    assert "ModuleNotFoundError" in ask(lender.broker.url, script=script).error, "only who asks for it has it"


def test_a_package_that_there_is_none_of(lender: Lender) -> None:
    response = ask(lender.broker.url, script="1", packages=["wasimoff==99.99"])
    assert "wasimoff" in response.error
    assert "looked with pip" in response.error
    assert "is not a package" in ask(lender.broker.url, script="1", packages=["--help"]).error
    assert value(ask(lender.broker.url, script="2")) == 2
