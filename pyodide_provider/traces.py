"""What happened when to the runs whose clients ask for it (`Task.Trace`), on this provider. Imports the core's data, wire."""

from __future__ import annotations

import time

from .core.run import Ended
from .wire import codec
from .wire import messages_pb2 as pb

Event = pb.Task.TraceEvent


class Traces:
    """By sequence of the run, only of those whose request has a trace: empty, and then false, is what it mostly is."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[pb.Task.Trace, dict[int, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, sequence: int, trace: pb.Task.Trace) -> None:
        self._open[sequence] = trace, {Event.ProviderTaskReceived: time.time_ns()}

    def mark(self, sequence: int, event: int) -> None:
        """It happens now; where it happens again (a run put back, handed out anew), the last time counts."""
        known = self._open.get(sequence)
        if known is not None:
            known[1].pop(event, None)
            known[1][event] = time.time_ns()

    def clear(self) -> None:
        self._open.clear()

    def finish(self, sequence: int, answer: bytes, ended: Ended | None) -> bytes:
        """The answer with the request's trace and our events in it."""
        known = self._open.pop(sequence, None)
        if known is None:
            return answer
        (envelope,) = codec.decode(answer)
        if not envelope.HasField("payload"):
            return answer
        trace, marks = known
        if ended is not None:
            _in_the_slot(marks, ended)
        marks[Event.ProviderTransmitResult] = time.time_ns()
        response = codec.unpack(envelope)
        assert isinstance(response, pb.Task.Wasip1.Response | pb.Task.Pyodide.Response)
        response.info.trace.CopyFrom(trace)
        for event, unixnano in marks.items():
            response.info.trace.events.add(unixnano=unixnano, event=Event.EventType.Name(event), details="")
        return codec.response(sequence, response)


def _in_the_slot(marks: dict[int, int], ended: Ended) -> None:
    """A slot has no clock that is ours: its events are counted back from the end, by how long it says they took."""
    done = time.time_ns()
    posted = marks.get(Event.ProviderPostToWorker, done)
    execute = max(posted, done - int(ended.seconds * 1e9))
    compiling = ended.usage.compile if ended.usage is not None else 0.0
    marks[Event.ProviderWorkerPrepare] = max(posted, execute - int(compiling * 1e9))
    marks[Event.ProviderWorkerExecute] = execute
    marks[Event.ProviderWorkerDone] = done
