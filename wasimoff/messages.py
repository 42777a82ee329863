"""Tasks to protobuf messages and answers back to Results: it and `prepared` alone know the generated classes.

Imports `pyodide_provider.wire` and this package's data.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

from .errors import BrokerError, UsageError
from .limits import NO_LIMITS, Limits
from .result import Result, TraceEvent
from .task import AnyTask, PythonTask, Task, Wishes
from .usage import Usage

Envelope = pb.Envelope
TaskOutput = pb.Event.TaskOutput
TaskInputTaken = pb.Event.TaskInputTaken
Response = pb.Task.Wasip1.Response | pb.Task.Pyodide.Response
R = TypeVar("R", pb.Task.Wasip1.Request, pb.Task.Pyodide.Request)

QOS = pb.Task.QoS(by_reference=True)
"""Of every task; copied."""
METHODS: dict[type[Message], tuple[str, type[Message]]] = {
    pb.Task.Wasip1.Request: ("RunWasip1", pb.Task.Wasip1.Response),
    pb.Task.Pyodide.Request: ("RunPyodide", pb.Task.Pyodide.Response),
}
"""What each request is called in the service `wasimoff.v1.Tasks`, and what answers it."""


@dataclass(frozen=True, slots=True)
class Refs:
    """What the broker calls the files of one task: refs and aliases; "" for what the task does not have."""

    binary: str = ""
    rootfs: str = ""
    roots: Sequence[tuple[str, str]] = ()
    """(where it is mounted, ref)"""
    stdin: str | bytes = b""
    """A ref, or the bytes, sent inline."""


def request(task: AnyTask, id: str, refs: Refs, *, follow: bool = False, interactive: bool = False) -> Message:
    """The request that asks for a task; `follow`: tell what it writes while it runs, `interactive`: more stdin will come.

    Raises UsageError for what can't be said on the wire: text that isn't Unicode, values of a wrong type.
    """
    try:
        message = _pyodide_request(task, id, refs) if isinstance(task, PythonTask) else _wasip1_request(task, id, refs)
        if follow:
            message.qos.follow = True
        if interactive:
            message.qos.interactive = True
        return message
    except (ValueError, TypeError) as error:
        raise UsageError(f"the task can't be sent: {str(error)[:200]}") from None


def _wasip1_request(task: Task, id: str, refs: Refs) -> pb.Task.Wasip1.Request:
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=refs.binary), args=task.argv)
    for path, ref in refs.roots:
        params.roots.add(path=path, file=pb.File(ref=ref))
    if isinstance(refs.stdin, str):
        params.stdin_file.ref = refs.stdin
    return _with_wishes(pb.Task.Wasip1.Request(info=pb.Task.Metadata(id=id), qos=QOS, params=params), task, refs)


def _pyodide_request(task: PythonTask, id: str, refs: Refs) -> pb.Task.Pyodide.Request:
    params = pb.Task.Pyodide.Params(packages=task.packages)
    if task.script is not None:
        params.script = task.script
    else:
        params.pickle = task.pickle or b""
    params.shared.extend(pb.File(ref=ref) for ref in task.shared)
    if task.python:
        params.python = task.python
    if task.network:
        params.network = True
    return _with_wishes(pb.Task.Pyodide.Request(info=pb.Task.Metadata(id=id), qos=QOS, params=params), task, refs)


def _with_wishes(message: R, task: Wishes, refs: Refs) -> R:
    params = message.params
    if task.env:
        params.envs.extend([f"{key}={value}" for key, value in task.env.items()])
    if task.artifacts:
        params.artifacts.extend(task.artifacts)
    if refs.stdin and isinstance(refs.stdin, bytes):
        params.stdin = refs.stdin
    if refs.rootfs:
        params.rootfs.ref = refs.rootfs
    if task.limits is not NO_LIMITS and task.limits:
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


def task_input(request: int, stdin: bytes, end: bool) -> Message:
    """More stdin of the task that the request of that sequence asked for."""
    return pb.Event.TaskInput(request=request, stdin=stdin, end=end)


def told(envelope: Envelope) -> TaskOutput | TaskInputTaken | None:
    """What a task has written or read, when the event tells that and can be read."""
    if not envelope.payload.type_url.endswith(("/wasimoff.v1.Event.TaskOutput", "/wasimoff.v1.Event.TaskInputTaken")):
        return None
    try:
        payload = codec.unpack(envelope)
    except PeerError:
        return None
    return payload if isinstance(payload, TaskOutput | TaskInputTaken) else None


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


def large(response: Message) -> dict[str, str]:
    """The refs of what a response has in the storage, by the Result's field."""
    assert isinstance(response, pb.Task.Wasip1.Response | pb.Task.Pyodide.Response)
    output, refs = response.ok, {}
    if output.HasField("artifacts"):
        refs["archive"] = output.artifacts.ref
    if isinstance(output, pb.Task.Wasip1.Output):
        if output.HasField("stdout_file"):
            refs["stdout"] = output.stdout_file.ref
        if output.HasField("stderr_file"):
            refs["stderr"] = output.stderr_file.ref
    return {name: ref for name, ref in refs.items() if ref} if refs else refs


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
