"""Requests that were written down in JSON: what their tasks want. Imports the wire's generated classes and the task."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

from .errors import UsageError
from .limits import Limits
from .task import PythonTask

J = TypeVar("J", bound=Message)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task of a job file: what it says itself, and its parent where it says nothing."""

    binary: str | bytes
    args: Sequence[str]
    """argv with the program's name, or empty."""
    env: Mapping[str, str]
    stdin: bytes
    rootfs: str | bytes
    roots: Sequence[tuple[str, str | bytes]]
    artifacts: Sequence[str]
    limits: Limits
    priority: bool
    immediate: bool
    deadline: float | None
    """Seconds from when this was made."""


def job(text: str, name: str) -> Iterator[Wanted]:
    """The tasks of a JobRequest in JSON; checked at once, made one after the other. Raises UsageError."""
    request = _from_json(text, pb.Task.Wasip1.JobRequest, name)
    return (_wanted(task, request.parent, request.qos) for task in request.tasks)


def python_task(text: str) -> PythonTask:
    """The task of a Pyodide.Request in JSON. Raises UsageError."""
    request = _from_json(text, pb.Task.Pyodide.Request, "the task")
    params = request.params
    return PythonTask(
        script=params.script if params.HasField("script") else None,
        pickle=params.pickle if params.HasField("pickle") else None,
        packages=list(params.packages),
        env=_env(params.envs),
        stdin=params.stdin,
        rootfs=_source(params.rootfs) or None,
        artifacts=list(params.artifacts),
        limits=_wanted_limits(params.limits),
        priority=request.qos.priority,
        immediate=request.qos.immediate,
        deadline=_seconds_left(request.qos),
    )


def _from_json(text: str, cls: type[J], name: str) -> J:
    try:
        return codec.from_json(text, cls)
    except PeerError as error:
        raise UsageError(f"{name}: {error}") from None


def _wanted(task: pb.Task.Wasip1.Params, parent: pb.Task.Wasip1.Params, qos: pb.Task.QoS) -> Wanted:
    return Wanted(
        _source(task.binary if task.HasField("binary") else parent.binary),
        list(task.args or parent.args),
        _env(task.envs or parent.envs),
        task.stdin if task.HasField("stdin") else parent.stdin,
        _source(task.rootfs if task.HasField("rootfs") else parent.rootfs),
        [(root.path, _source(root.file)) for root in task.roots or parent.roots],
        list(task.artifacts or parent.artifacts),
        _wanted_limits(task.limits if task.HasField("limits") else parent.limits),
        qos.priority,
        qos.immediate,
        _seconds_left(qos),
    )


def _source(file: pb.File) -> str | bytes:
    return file.blob if file.HasField("blob") else file.ref


def _wanted_limits(limits: pb.Task.Limits) -> Limits:
    said = {field.name: value for field, value in limits.ListFields()}
    wall = said.pop("wall_ms", None)
    return Limits(wall=None if wall is None else wall / 1000, **said)


def _env(pairs: Iterable[str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"envs: {pair[:100]!r} is not K=V")
        env[key] = value
    return env


def _seconds_left(qos: pb.Task.QoS) -> float | None:
    if not qos.HasField("deadline"):
        return None
    left = qos.deadline.ToNanoseconds() / 1e9 - time.time()
    if left <= 0:
        raise UsageError(f"the deadline {qos.deadline.ToJsonString()} has passed already")
    return left
