"""What goes back to a client: the answer of a provider, made ours. Imports the wire and the core's outcomes."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from broker.core.outcome import Answered, Outcome
from broker.core.task import Task
from broker.trace import Event, stamp
from pyodide_provider.wire import messages_pb2 as pb

Request: TypeAlias = pb.Task.Wasip1.Request | pb.Task.Pyodide.Request
Response: TypeAlias = pb.Task.Wasip1.Response | pb.Task.Pyodide.Response

MAX_PROVIDER_EVENTS = 64


class Reply(Protocol):
    """What a task carries as `reply`: one small object per door, resolved once."""

    def resolve(self, task: Task, outcome: Outcome) -> None: ...


def asked(info: pb.Task.Metadata) -> pb.Task.Metadata | None:
    """A client's metadata when it holds more than an id, which is what `address` wants to know."""
    return info if info.HasField("trace") or info.requester or info.reference else None


def address(answered: Answered, id: str, asked: pb.Task.Metadata | None) -> Response:
    """The provider's answer with our own metadata: nothing of what it says about itself is passed on but its trace.

    `asked` is what the function of that name gave for the request.
    """
    response: Response = answered.answer
    if asked is not None and asked.HasField("trace"):
        info = _with_trace(asked, response.info.trace)
        response.info.CopyFrom(info)
    else:
        response.ClearField("info")
    info = response.info
    info.id = id
    info.provider = answered.provider
    info.attempt = answered.attempt
    if asked is not None:
        info.requester = asked.requester
        if asked.reference:
            info.reference = asked.reference
    return response


def _with_trace(asked: pb.Task.Metadata, theirs: pb.Task.Trace) -> pb.Task.Metadata:
    info = pb.Task.Metadata()
    trace = info.trace
    trace.CopyFrom(asked.trace)
    for event in theirs.events[:MAX_PROVIDER_EVENTS]:
        if Event.ProviderError <= event.event <= 47:
            trace.events.add(unixnano=event.unixnano, event=event.event, details=event.details[:200])
    stamp(trace, Event.BrokerReceivedProviderResult)
    stamp(trace, Event.BrokerTransmitClientResponse)
    trace.duration = max(0, trace.events[-1].unixnano - trace.created) if trace.created else 0
    return info
