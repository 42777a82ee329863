"""Tasks to protobuf messages and answers back to Results: the only module here that knows the generated classes.

Imports `pyodide_provider.wire` and this package's data.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

from .errors import BrokerError, UsageError
from .limits import Limits
from .result import Result, TraceEvent
from .task import AnyTask, PythonTask, Task, Wishes
from .usage import Usage

Response = pb.Task.Wasip1.Response | pb.Task.Pyodide.Response
J = TypeVar("J", bound=Message)
R = TypeVar("R", pb.Task.Wasip1.Request, pb.Task.Pyodide.Request)

METHODS: dict[type[Message], tuple[str, type[Message]]] = {
    pb.Task.Wasip1.Request: ("RunWasip1", pb.Task.Wasip1.Response),
    pb.Task.Pyodide.Request: ("RunPyodide", pb.Task.Pyodide.Response),
}
"""What each request is called in the service `wasimoff.v1.Tasks`, and what answers it."""


@dataclass(frozen=True, slots=True)
class Refs:
    """What the broker calls the files of one task: refs and aliases; "" for what it does not have, or is sent inline."""

    binary: str = ""
    rootfs: str = ""
    roots: Sequence[tuple[str, str]] = ()
    """(where it is mounted, ref)"""


def request(task: AnyTask, id: str, refs: Refs) -> Message:
    """The request that asks for a task.

    Raises UsageError for what can't be said on the wire: text that isn't Unicode, values of a wrong type.
    """
    try:
        if isinstance(task, PythonTask):
            return _pyodide_request(task, id, refs)
        return _wasip1_request(task, id, refs)
    except (ValueError, TypeError) as error:
        raise UsageError(f"the task can't be sent: {str(error)[:200]}") from None


def _wasip1_request(task: Task, id: str, refs: Refs) -> pb.Task.Wasip1.Request:
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=refs.binary), args=task.argv)
    for path, ref in refs.roots:
        params.roots.add(path=path, file=pb.File(ref=ref))
    return _with_wishes(pb.Task.Wasip1.Request(info=pb.Task.Metadata(id=id), params=params), task, refs)


def _pyodide_request(task: PythonTask, id: str, refs: Refs) -> pb.Task.Pyodide.Request:
    params = pb.Task.Pyodide.Params(packages=task.packages)
    if task.script is not None:
        params.script = task.script
    else:
        params.pickle = task.pickle or b""
    return _with_wishes(pb.Task.Pyodide.Request(info=pb.Task.Metadata(id=id), params=params), task, refs)


def _with_wishes(message: R, task: Wishes, refs: Refs) -> R:
    params = message.params
    params.envs.extend(f"{key}={value}" for key, value in task.env.items())
    params.artifacts.extend(task.artifacts)
    if task.stdin:
        params.stdin = bytes(task.stdin)
    if refs.rootfs:
        params.rootfs.ref = refs.rootfs
    if task.limits:
        params.limits.CopyFrom(_limits(task.limits))
    if task.priority:
        message.qos.priority = True
    if task.immediate:
        message.qos.immediate = True
    if task.deadline is not None:
        message.qos.deadline.FromNanoseconds(time.time_ns() + int(task.deadline * 1e9))
    if task.trace:
        now = time.time_ns()
        message.info.trace.created = now
        message.info.trace.events.add(unixnano=now, event=pb.Task.TraceEvent.ClientTransmitRequest, details="")
    return message


def _limits(limits: Limits) -> pb.Task.Limits:
    return pb.Task.Limits(
        wall_ms=None if limits.wall is None else max(1, round(limits.wall * 1000)),
        memory=limits.memory,
        output=limits.output,
        files=limits.files,
        threads=limits.threads,
    )


def cancel(id: str, reason: str) -> Message:
    """The request that stops a task."""
    return pb.Task.Cancel(id=id, reason=reason)


def result(response: Message, index: int = 0, label: str = "", seconds: float = 0.0) -> Result:
    """The Result that a response tells of; `seconds` is how long it took. Raises BrokerError when it is no answer to a task."""
    if not isinstance(response, pb.Task.Wasip1.Response | pb.Task.Pyodide.Response):
        raise BrokerError(f"the broker answered a task with {response.DESCRIPTOR.full_name}", "internal")
    info, which = response.info, response.WhichOneof("result")
    if which is None:
        raise BrokerError("the broker answered a task without a result", "internal")
    trace = _trace(info.trace) if info.HasField("trace") else ()
    usage = _usage(response.usage) if response.HasField("usage") else None
    if which == "error":
        error = response.error or "the task failed, nobody said why"
        return Result(
            None, error=error, provider=info.provider, task=info.id, index=index, label=label, attempt=info.attempt,
            seconds=seconds, trace=trace, usage=usage,
        )  # fmt: skip
    output = response.ok
    return Result(
        0 if isinstance(output, pb.Task.Pyodide.Output) else output.status,
        output.stdout,
        output.stderr,
        output.artifacts.blob if output.artifacts.HasField("blob") else None,
        provider=info.provider,
        task=info.id,
        index=index,
        label=label,
        attempt=info.attempt,
        seconds=seconds,
        pickle=output.pickle if isinstance(output, pb.Task.Pyodide.Output) else None,
        trace=trace,
        usage=usage,
    )


def _usage(usage: pb.Task.Usage) -> Usage:
    return Usage(
        usage.wall_us / 1e6,
        usage.cpu_us / 1e6,
        usage.memory,
        usage.bytes_in,
        usage.bytes_out,
        usage.compile_us / 1e6,
        usage.cached,
        usage.engine,
    )


def _trace(trace: pb.Task.Trace) -> tuple[TraceEvent, ...]:
    events = [TraceEvent(e.unixnano, _event_name(e.event), e.details) for e in trace.events]
    return (*events, TraceEvent(time.time_ns(), "ClientReceivedResponse"))


def _event_name(number: int) -> str:
    known = pb.Task.TraceEvent.EventType.DESCRIPTOR.values_by_number.get(number)
    return known.name if known else f"event {number}"


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
