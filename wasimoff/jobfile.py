"""Tasks out of JSON: job files, and the prototype's task files ("@type"). Imports the task and the wire.

A job file is protojson of `Task.Wasip1.JobRequest`; where a File stands a plain string may stand too (a ref, an alias or a
path, meant from the job file), instead of base64 in "stdin" "stdinText", or "stdinFile", read when needed, and limits as words.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import prepared
from .errors import UsageError
from .limits import limits
from .source import locate, read_at_most
from .task import AnyTask, Source, Task

MAX_BYTES = 256 * 2**20
WASIP1, PYODIDE, JOB = "Task.Wasip1.Request", "Task.Pyodide.Request", "Task.Wasip1.JobRequest"
FIELDS = {
    JOB: {"info", "qos", "parent", "tasks"},
    WASIP1: {"info", "qos", "params"},
    PYODIDE: {"info", "qos", "params"},
}
PARAMS = {"binary", "args", "envs", "stdin", "stdinText", "stdinFile", "rootfs", "roots", "artifacts", "limits"}
PYTHON_PARAMS = {"packages", "script", "pickle", "envs", "stdin", "rootfs", "artifacts", "limits"}
LIMITS = {"wall", "wallMs", "memory", "output", "files", "threads"}


@dataclass(frozen=True, slots=True)
class Job:
    """How many tasks, and the tasks: made one after the other, their stdin files read then."""

    total: int
    tasks: Iterator[AnyTask]


def load(path: Path, read: Callable[[Path], bytes]) -> Job:
    """The job in a file; `read` reads stdin files. Raises UsageError that names what is wrong and where."""
    document = _object(path)
    _known(document, FIELDS[JOB] | {"@type"}, str(path))
    if not isinstance(document.get("tasks"), list) or not document["tasks"]:
        raise UsageError(f'{str(path)!r} has no tasks: a job is {{"parent": {{…}}, "tasks": [{{…}}, …]}}')
    return _job(document, path.parent, read, str(path))


def load_any(path: Path, read: Callable[[Path], bytes]) -> Job:
    """A file of the prototype's `-task`: a request of any kind, named by its "@type"."""
    document = _object(path)
    name = str(document.get("@type", "")).rpartition("/")[2].removeprefix("wasimoff.v1.")
    if name not in FIELDS:
        raise UsageError(f'{str(path)!r} has "@type" {document.get("@type")!r}: expected one of {", ".join(FIELDS)}')
    _known(document, FIELDS[name] | {"@type"}, str(path))
    if name == JOB:
        return _job(document, path.parent, read, str(path))
    if name == WASIP1:
        single = {"qos": document.get("qos") or {}, "tasks": [document.get("params") or {}]}
        return _job(single, path.parent, read, str(path))
    body = {key: value for key, value in document.items() if key != "@type"}
    _known(_mapping(body.get("params") or {}, "params"), PYTHON_PARAMS, "params")
    _ease(body.get("params") or {}, "params")
    return Job(1, iter([prepared.python_task(json.dumps(body))]))


def _job(document: dict[str, Any], base: Path, read: Callable[[Path], bytes], name: str) -> Job:
    parent = _mapping(document.get("parent") or {}, "parent")
    entries = [_mapping(task, f"task {n}") for n, task in enumerate(document["tasks"], 1)]
    inputs: list[str | None] = []
    for n, params in enumerate([parent, *entries]):
        where = f"task {n}" if n else "parent"
        _known(params, PARAMS, where)
        inputs.append(_stdin_file(params, where))
        _ease(params, where)
    body = {key: document[key] for key in ("qos", "parent", "tasks") if document.get(key)}
    wanted = prepared.job(json.dumps(body), name)

    def tasks() -> Iterator[AnyTask]:
        for n, params in enumerate(wanted, 1):
            stdin_file = inputs[n] or ("" if "stdin" in entries[n - 1] else inputs[0])
            yield _task(params, base, stdin_file, read, n)

    return Job(len(entries), tasks())


def _stdin_file(params: dict[str, Any], where: str) -> str | None:
    """The path in "stdinFile"; "stdinText" becomes "stdin", and that is checked: the parser takes any text for base64."""
    given = [name for name in ("stdin", "stdinText", "stdinFile") if name in params]
    if len(given) > 1:
        raise UsageError(f"{where} has both {given[0]} and {given[1]}")
    if any(not isinstance(params[name], str) for name in given):
        raise UsageError(f"{where}: {given[0]} is {json.dumps(params[given[0]])[:60]}, it must be a string")
    if "stdinText" in params:
        params["stdin"] = base64.b64encode(params.pop("stdinText").encode("utf-8", "replace")).decode()
    elif "stdin" in params:
        try:
            base64.b64decode(params["stdin"].replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            raise UsageError(f'{where}: stdin is not base64; for plain text there is "stdinText"') from None
    return str(params.pop("stdinFile")) if "stdinFile" in params else None


def _task(params: prepared.Wanted, base: Path, stdin_file: str | None, read: Callable[[Path], bytes], n: int) -> Task:
    if not params.binary:
        raise UsageError(f"task {n} has no binary, and the parent has none")
    argv = params.args
    return Task(
        _local(params.binary, base),
        argv[1:],
        program=argv[0] if argv else None,
        env=params.env,
        stdin=read(base / stdin_file) if stdin_file else params.stdin,
        rootfs=_local(params.rootfs, base) if params.rootfs else None,
        roots={path: _local(source, base) if source else "" for path, source in params.roots},
        artifacts=params.artifacts,
        limits=params.limits,
        priority=params.priority,
        immediate=params.immediate,
        deadline=params.deadline,
        label=(stdin_file or shlex.join(argv) or str(params.binary)[:60])[:100],
    )


def _local(source: str | bytes, base: Path) -> Source:
    """Paths in a job file are meant from where it is."""
    if isinstance(source, bytes):
        return source
    path = base / source
    found = locate(path if not source.startswith("sha256:") and "\0" not in source and path.exists() else source)
    return found


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = read_at_most(file, MAX_BYTES)
        if content is None:
            raise UsageError(f"{str(path)!r} has more than {MAX_BYTES} bytes")
        document = json.loads(content)
    except OSError as error:
        raise UsageError(f"can't read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(path)!r} is not JSON: {error}") from None
    return _mapping(document, str(path))


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object but {json.dumps(value)[:60]}")
    return value


def _known(value: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise UsageError(f"{where}: there is no field {key!r}; known are {', '.join(sorted(known - {'@type'}))}")


def _ease(params: dict[str, Any], where: str) -> None:
    """Plain strings for Files, words for limits: into what protojson has."""
    for name in ("binary", "rootfs"):
        if isinstance(params.get(name), str):
            params[name] = {"ref": params[name]}
    if params.get("roots"):
        params["roots"] = _roots(params["roots"], where)
    if params.get("limits"):
        params["limits"] = _limits(_mapping(params["limits"], f"{where}: limits"), f"{where}: limits")


def _roots(value: Any, where: str) -> list[dict[str, Any]]:
    """From {"/path": "data.zip"} or protojson's [{"path": …, "file": …}]."""
    pairs = [{"path": path, "file": file} for path, file in value.items()] if isinstance(value, dict) else value
    if not isinstance(pairs, list):
        raise UsageError(f'{where}: roots is {json.dumps(value)[:60]}, it must be an object: {{"/data": "data.zip"}}')
    roots = [dict(_mapping(pair, f"{where}: roots")) for pair in pairs]
    for root in roots:
        _known(root, {"path", "file"}, f"{where}: roots")
        if isinstance(root.get("file"), str):
            root["file"] = {"ref": root["file"]}
    return roots


def _limits(value: dict[str, Any], where: str) -> dict[str, Any]:
    """{"wall": "2s", "memory": "64M"} to protojson's {"wallMs": 2000, "memory": 67108864}."""
    _known(value, LIMITS, where)
    words = {key: amount for key, amount in value.items() if key != "wallMs"}
    if "wallMs" in value and "wall" in value:
        raise UsageError(f"{where} has both wall and wallMs")
    try:
        said = limits(words)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    plain: dict[str, Any] = {key: getattr(said, key) for key in words if key != "wall" and words[key] is not None}
    if said.wall is not None:
        plain["wallMs"] = max(1, round(said.wall * 1000))
    return plain | {key: value[key] for key in ("wallMs",) if key in value}
