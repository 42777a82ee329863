"""The events of a task's trace on one clock, with who they belong to and how long each took. Pure; standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .result import TraceEvent

SIDES = ("Client", "Broker", "Provider")
SENT, RECEIVED = "BrokerTransmitProviderTask", "BrokerReceivedProviderResult"


@dataclass(frozen=True, slots=True)
class Step:
    """One event: milliseconds since the first, and since the one before; `side` is an index of `SIDES`."""

    at: float
    took: float
    side: int
    event: str
    details: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps in order of time; `skew` says by how many milliseconds the clock of a side was found to be ahead."""

    steps: tuple[Step, ...]
    skew: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        """Milliseconds from the first event to the last."""
        return self.steps[-1].at if self.steps else 0.0


def timeline(trace: Sequence[TraceEvent]) -> Timeline:
    """On the client's clock: where the events of another side do not fit between asking and answer, its clock is off."""
    groups: tuple[list[TraceEvent], ...] = ([], [], [])
    for event in trace:
        groups[_side(event.event)].append(event)
    client, broker, provider = groups
    skews: list[tuple[str, float]] = []
    if client and (off := _off(broker, client[0].unixnano, client[-1].unixnano)):
        skews.append(("broker", off / 1e6))
        broker = _moved(broker, off)
        provider = _moved(provider, off)
    sent = [event.unixnano for event in broker if event.event == SENT]
    received = [event.unixnano for event in broker if event.event == RECEIVED]
    if sent and received and (off := _off(provider, sent[-1], received[-1])):
        skews.append(("provider", off / 1e6))
        provider = _moved(provider, off)
    return Timeline(_steps(sorted([*client, *broker, *provider], key=lambda event: event.unixnano)), tuple(skews))


def _steps(events: Sequence[TraceEvent]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for event in events:
        at = (event.unixnano - events[0].unixnano) / 1e6
        steps.append(Step(at, at - steps[-1].at if steps else 0.0, _side(event.event), event.event, event.details))
    return tuple(steps)


def _side(name: str) -> int:
    """What is unknown is taken for the broker's: it passes on what others add."""
    return next((number for number, side in enumerate(SIDES) if name.startswith(side)), 1)


def _off(events: Sequence[TraceEvent], first: int, last: int) -> int:
    """Nanoseconds by which events are ahead when they don't lie between `first` and `last`: the middle is put on the middle."""
    if not events:
        return 0
    begin, end = min(event.unixnano for event in events), max(event.unixnano for event in events)
    return 0 if first <= begin and end <= last else (begin + end - first - last) // 2


def _moved(events: Sequence[TraceEvent], off: int) -> list[TraceEvent]:
    return [replace(event, unixnano=event.unixnano - off) for event in events]
