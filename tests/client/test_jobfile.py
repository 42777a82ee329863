"""Job files: what a task leaves out comes from the parent, paths are meant from the file, mistakes are named."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasimoff import PythonTask, Task, UsageError
from wasimoff.jobfile import Job, load, load_any

REF = "sha256:" + "ab" * 32


def write(folder: Path, document: Any) -> Path:
    path = folder / "job.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def tasks_of(folder: Path, document: Any, how: Any = load) -> list[Task]:
    job: Job = how(write(folder, document), Path.read_bytes)
    tasks = list(job.tasks)
    assert job.total == len(tasks)
    return tasks  # type: ignore[return-value]


def test_what_a_task_leaves_out_is_the_parents(tmp_path: Path) -> None:
    b64 = base64.b64encode(b"in").decode()
    parent = {
        "binary": {"ref": REF},
        "args": ["p", "1"],
        "envs": ["A=1"],
        "stdin": b64,
        "artifacts": ["x"],
        "rootfs": {"ref": "r"},
    }
    own = {"binary": "other", "args": ["q"], "envs": ["B=2"], "stdin": "", "artifacts": ["y"], "rootfs": "s"}
    first, second, third = tasks_of(tmp_path, {"parent": parent, "tasks": [{}, own, {"args": ["z"]}]})
    assert (first.binary, first.argv, first.env, first.stdin) == (REF, ["p", "1"], {"A": "1"}, b"in")
    assert (first.artifacts, first.rootfs) == (["x"], "r")
    assert (second.binary, second.argv, second.env, second.stdin) == ("other", ["q"], {"B": "2"}, b"")
    assert (second.artifacts, second.rootfs) == (["y"], "s")
    assert (third.argv, third.binary) == (["z"], REF)


def test_paths_are_meant_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "prog.wasm").write_bytes(b"\0asm")
    (tmp_path / "root").mkdir()
    (tmp_path / "in.csv").write_bytes(b"1,2")
    document = {
        "parent": {"binary": "prog.wasm", "rootfs": {"ref": "root"}, "stdinFile": "in.csv"},
        "tasks": [{}, {"stdin": base64.b64encode(b"own").decode()}, {"stdinFile": "other.csv"}],
    }
    (tmp_path / "other.csv").write_bytes(b"other")
    tasks = tasks_of(tmp_path, document)
    assert [task.stdin for task in tasks] == [b"1,2", b"own", b"other"]
    assert (tasks[0].binary, tasks[0].rootfs) == (tmp_path / "prog.wasm", tmp_path / "root")
    assert [task.label for task in tasks] == ["in.csv", "prog.wasm", "other.csv"]


def test_plain_text_as_stdin(tmp_path: Path) -> None:
    first, second = tasks_of(tmp_path, {"parent": {"binary": REF, "stdinText": "1,2 ü"}, "tasks": [{}, {"stdinText": ""}]})
    assert (first.stdin, second.stdin) == ("1,2 ü".encode(), b"")


def test_stdin_files_are_read_when_their_turn_comes(tmp_path: Path) -> None:
    document = {"parent": {"binary": REF}, "tasks": [{"stdinFile": f"{n}"} for n in range(3)]}
    read: list[str] = []

    def reading(path: Path) -> bytes:
        read.append(path.name)
        return b""

    job = load(write(tmp_path, document), reading)
    assert read == []
    next(job.tasks)
    assert read == ["0"]


def test_qos(tmp_path: Path) -> None:
    document = {"qos": {"priority": True, "deadline": "2999-01-01T00:00:00Z"}, "tasks": [{"binary": "x"}]}
    (task,) = tasks_of(tmp_path, document)
    assert task.priority
    assert task.deadline is not None
    assert task.deadline > 10**9 - 10**8 * 9


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({}, "has no tasks"),
        ({"tasks": []}, "has no tasks"),
        ({"tasks": [{}]}, "task 1 has no binary"),
        ({"tasks": [{"binary": "x"}, 3]}, "task 2 is not a JSON object but 3"),
        ({"parent": 3, "tasks": [{}]}, "parent is not a JSON object"),
        ({"tasks": [{"binary": "x", "arg": ["a"]}]}, "task 1: there is no field 'arg'; known are .*args"),
        ({"parents": {}, "tasks": [{}]}, "there is no field 'parents'"),
        ({"tasks": [{"binary": "x", "args": "rand"}]}, "not a JSON .*args"),
        ({"tasks": [{"binary": "x", "stdin": "hello, world"}]}, 'task 1: stdin is not base64; .*"stdinText"'),
        ({"tasks": [{"binary": "x", "stdin": 3}]}, "stdin is 3"),
        ({"tasks": [{"binary": "x", "stdin": "", "stdinText": ""}]}, "both stdin and stdinText"),
        ({"tasks": [{"binary": "x", "stdinFile": 3}]}, "stdinFile is 3"),
        ({"tasks": [{"binary": "x", "envs": ["A"]}]}, "'A' is not K=V"),
        ({"tasks": [{"binary": "no/such/file"}]}, "there is no file 'no/such/file'"),
        ({"tasks": [{"binary": "sha256:12"}]}, "is no ref|12"),
        ({"qos": {"deadline": "2001-01-01T00:00:00Z"}, "tasks": [{"binary": "x"}]}, "has passed already"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, document: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tasks_of(tmp_path, document)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read"):
        load(tmp_path / "no.json", Path.read_bytes)
    with pytest.raises(UsageError, match="can't read"):
        load(tmp_path, Path.read_bytes)


def test_the_prototypes_task_files(tmp_path: Path) -> None:
    wasip1 = {"@type": "wasimoff/wasimoff.v1.Task.Wasip1.Request", "params": {"binary": {"ref": REF}, "args": ["a", "b"]}}
    (task,) = tasks_of(tmp_path, wasip1, load_any)
    assert (task.binary, task.argv) == (REF, ["a", "b"])
    python = {
        "@type": "type.googleapis.com/wasimoff.v1.Task.Pyodide.Request",
        "params": {"script": "print(1)", "packages": ["numpy"], "rootfs": "zip"},
    }
    (other,) = tasks_of(tmp_path, python, load_any)
    assert isinstance(other, PythonTask)
    assert (other.script, other.packages, other.rootfs) == ("print(1)", ["numpy"], "zip")
    job = {"@type": "wasimoff/wasimoff.v1.Task.Wasip1.JobRequest", "parent": {"binary": "x"}, "tasks": [{}, {}]}
    assert len(tasks_of(tmp_path, job, load_any)) == 2


@pytest.mark.parametrize("document", [{}, {"@type": "Ping"}, {"@type": 3}, {"@type": "Task.Pyodide.Request", "params": 3}])
def test_unknown_task_files_are_told(tmp_path: Path, document: Any) -> None:
    with pytest.raises(UsageError):
        tasks_of(tmp_path, document, load_any)


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tasks", "parent", "qos", "binary", "args", "stdin", "stdinFile", "ref", "envs"]), inner
        )
    ),
    max_leaves=12,
)


@given(SHAPES)
def test_any_json_gives_tasks_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    folder = tmp_path_factory.mktemp("job")
    for how in (load, load_any):
        try:
            job = how(write(folder, document), lambda path: b"")
            for task in job.tasks:
                assert isinstance(task, Task)
        except UsageError as error:
            assert str(error)  # noqa: PT017  (either is right)
