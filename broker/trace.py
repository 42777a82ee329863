"""Trace events: what happened when to one task, only when its client asked. Imports the wire."""

from __future__ import annotations

import time

from pyodide_provider.wire import messages_pb2 as pb

Event = pb.Task.TraceEvent


def stamp(trace: pb.Task.Trace, event: pb.Task.TraceEvent.EventType, details: str = "") -> None:
    """Add an event that happens now; every field of it is set."""
    trace.events.add(unixnano=time.time_ns(), event=event, details=details)
