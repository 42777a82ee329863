"""Limits, roots and usage: as people write them, on the wire, and back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import AsyncClient, Limits, PythonTask, Task, Usage, UsageError, exits
from wasimoff.limits import count, duration, limits, size

from .command import wasimoff
from .peer import Link, Peer, Request, ok
from .test_archive import zipped
from .test_jobfile import tasks_of

MIB = 2**20


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2), ("2s", 2), ("500ms", 0.5), ("1.5m", 90), ("2 min", 120), ("1h", 3600), (".5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("65536", 65536),
        ("12 B", 12),
        ("64K", 65536),
        ("64M", 64 * MIB),
        ("64MiB", 64 * MIB),
        ("64mb", 64 * MIB),
        ("1.5G", 1536 * MIB),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_sizes(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "s", "2x", "-1s", "1e3", "nan", "1..2", "٣s", "2s2s", "9" * 40])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="write 2s"):
        duration(text)


@pytest.mark.parametrize("text", ["", "M", "64X", "-1", "1e9", "0x10", "٣M", "64 MM", "9" * 40])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="write 65536"):
        size(text)


@given(st.text())
@example("0\x1f")
def test_any_text_is_an_amount_or_an_error(text: str) -> None:
    for read in (duration, size, count):
        with contextlib.suppress(UsageError):
            assert read(text) >= 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"wall": 0}, "wall time is 0"),
        ({"wall": float("nan")}, "wall time is nan"),
        ({"wall": float("inf")}, "wall time is inf"),
        ({"wall": 0.0001}, "0.001 at least"),
        ({"wall": True}, "wall time is True"),
        ({"memory": -1}, "memory is -1"),
        ({"memory": 1.5}, "memory is 1.5"),
        ({"output": 2**63}, "output is"),
        ({"files": "64M"}, "files is '64M'"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 2**32}, "threads is"),
    ],
)
def test_limits_that_make_no_sense(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Limits(**values)


def test_limits_say_something_or_nothing() -> None:
    assert not Limits()
    assert Limits(threads=1)
    assert limits({"wall": "2s", "memory": "1K", "threads": "4", "files": None}) == Limits(wall=2.0, memory=1024, threads=4)


async def test_limits_and_roots_on_the_wire(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a").write_text("a")
    data = zipped(("b", b"b"))
    async with AsyncClient(peer.url) as client:
        await client.run("x", roots={"/data": data, "/etc": tmp_path / "conf"}, limits=Limits(wall=0.0011, memory=5))
        await client.run("x")
    first, second = (task.params for task in peer.tasks)
    assert [root.path for root in first.roots] == ["/data", "/etc"]
    assert [peer.blobs[root.file.ref][:2] for root in first.roots] == [b"PK", b"PK"]
    assert peer.blobs[first.roots[0].file.ref] == data
    assert first.limits == pb.Task.Limits(wall_ms=1, memory=5)
    assert not second.HasField("limits")
    assert not second.roots


async def test_a_root_that_the_broker_lost_is_uploaded_again(peer: Peer) -> None:
    data = zipped(("b", b"b"))

    async def answer(link: Link, sequence: int, request: Request) -> None:
        lost = [root.file.ref for root in request.params.roots if root.file.ref not in peer.blobs]
        await link.send(codec.failure(sequence, f"not_found: {lost[0]}") if lost else codec.response(sequence, ok(request)))

    peer.answer = answer
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x", roots={"/d": data})).ok
        peer.blobs.clear()
        assert (await client.run("x", roots={"/d": data})).ok
    assert peer.uploads == 2


@pytest.mark.parametrize("roots", [{"data": "x"}, {"/a/../b": "x"}, {"/a\0": "x"}, {"/a": ""}, {"/a": 3}, ["/a"], {3: "x"}])
def test_roots_that_make_no_sense(roots: Any) -> None:
    with pytest.raises(UsageError, match="root"):
        Task("x", roots=roots)


def test_limits_of_python() -> None:
    assert PythonTask(script="1", limits=Limits(wall=1)).limits.wall == 1
    with pytest.raises(UsageError, match="limits is dict"):
        PythonTask(script="1", limits={"wall": 1})  # type: ignore[arg-type]


def test_limits_and_roots_in_a_job_file(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    parent = {"binary": "x", "limits": {"wall": "2s", "memory": "64M"}, "roots": {"/etc": "conf", "/d": "alias"}}
    own = {
        "limits": {"wallMs": "1500", "files": 10, "threads": 2},
        "roots": [{"path": "/z", "file": "alias"}, {"path": "/y", "file": {"ref": "b"}}],
    }
    first, second = tasks_of(tmp_path, {"parent": parent, "tasks": [{}, own]})
    assert first.limits == Limits(wall=2.0, memory=64 * MIB)
    assert first.roots == {"/etc": tmp_path / "conf", "/d": "alias"}
    assert second.limits == Limits(wall=1.5, files=10, threads=2)
    assert second.roots == {"/z": "alias", "/y": "b"}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limits": {"wall": "soon"}}, "task 1: limits: 'soon' is no duration"),
        ({"limits": {"wall": 1, "wallMs": 2}}, "both wall and wallMs"),
        ({"limits": {"cpu": 1}}, "task 1: limits: there is no field 'cpu'"),
        ({"limits": {"memory": [1]}}, "task 1: limits: the limit of memory is"),
        ({"limits": {"wallMs": "x"}}, "job.json"),
        ({"limits": 3}, "limits is not a JSON object"),
        ({"roots": "x"}, "roots is"),
        ({"roots": [3]}, "roots is not a JSON object"),
        ({"roots": {"x": "y"}}, "can't be mounted at 'x'"),
        ({"roots": [{"path": "/x"}]}, "the root at /x is ''"),
    ],
)
def test_mistakes_in_a_job_file_are_named(tmp_path: Path, params: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tasks_of(tmp_path, {"tasks": [{"binary": "x", **params}]})


async def test_the_options(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    options = "--limit-wall 2s --limit-memory 64M --limit-output 1k --limit-files 1G --limit-threads 4 --root /d=data"
    assert (await wasimoff("run", *options.split(), "x", broker=peer.url, cwd=tmp_path)).code == 0
    job = ["job", "--binary", "x", *options.split(), "--each-arg", "1"]
    assert (await wasimoff(*job, broker=peer.url, cwd=tmp_path)).code == 0
    for task in peer.tasks:
        assert task.params.limits == pb.Task.Limits(wall_ms=2000, memory=64 * MIB, output=1024, files=2**30, threads=4)
        assert [root.path for root in task.params.roots] == ["/d"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("run --limit-wall soon x", "'--limit-wall': 'soon' is no duration: write 2s"),
        ("run --limit-memory 64X x", "'64X' is no size"),
        ("run --limit-memory 0 x", "the limit of memory is 0"),
        ("run --limit-threads many x", "'many' is no number of threads"),
        ("run --root data x", "write --root /PATH="),
        ("run --root data=y x", "can't be mounted at 'data'"),
        ("run --root /a=x --root /a=y x", "--root /a is given twice"),
        ("run --root /a=./missing x", "there is no file './missing'"),
        ("job --limit-wall 2s job.json", "--limit-wall goes with --each-stdin"),
        ("job --limit-wall 2s --env A=1 job.json", "--limit-wall, --env goes with"),
    ],
)
async def test_nonsense_is_told(peer: Peer, options: str, words: str) -> None:
    ended = await wasimoff(*options.split(), broker=peer.url)
    assert ended.code == exits.USAGE
    assert words in ended.err
    assert peer.tasks == []


USED = pb.Task.Usage(
    wall_us=24_000, cpu_us=22_000, memory=3 * MIB, bytes_in=3000, bytes_out=12, compile_us=0, cached=True, engine="w\x1b 50"
)


async def used(link: Link, sequence: int, request: Request) -> None:
    response = ok(request, b"out\n")
    response.usage.CopyFrom(USED)
    if request.params.args[-1] == "trap":
        response.error = "unreachable"
    await link.send(codec.response(sequence, response))


async def test_usage_is_in_the_result(peer: Peer) -> None:
    peer.answer = used
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
        assert result.usage == Usage(0.024, 0.022, 3 * MIB, 3000, 12, 0.0, True, "w\x1b 50")
        failed = await client.run("x", ["trap"])
        assert failed.error
        assert failed.usage == result.usage
    peer.answer = Peer().answer
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x")).usage is None


async def test_usage_in_words(peer: Peer) -> None:
    peer.answer = used
    line = "used 24 ms (CPU 22 ms), 3 MiB of memory, 2.93 KiB in, 12 B out, compiled before, w\N{REPLACEMENT CHARACTER} 50\n"
    ended = await wasimoff("run", "--usage", "x", broker=peer.url)
    assert (ended.out, ended.err) == (b"out\n", line)
    ended = await wasimoff("run", "--verbose", "x", broker=peer.url)
    assert ended.err.endswith(line)
    assert "at peer: exit 0 after " in ended.err
    ended = await wasimoff("run", "--usage", "x", "trap", broker=peer.url)
    assert ended.code == exits.NO_STATUS
    assert ended.err.endswith(line)
    ended = await wasimoff("run", "--json", "x", broker=peer.url)
    assert json.loads(ended.out)["usage"]["memory"] == 3 * MIB
    peer.answer = Peer().answer
    assert (await wasimoff("run", "--usage", "x", broker=peer.url)).err == "used: not told\n"
