"""A trace on one clock: steps, sides, clocks that are off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wasimoff import Result, TraceEvent
from wasimoff.commands.show import BAR, trace_lines
from wasimoff.timeline import timeline

MS = 1_000_000
WAY = (
    ("ClientTransmitRequest", 0), ("BrokerReceivedClientRequest", 1), ("BrokerTransmitProviderTask", 2),
    ("ProviderTaskReceived", 3), ("ProviderWorkerExecute", 5), ("ProviderTransmitResult", 7),
    ("BrokerReceivedProviderResult", 8), ("BrokerTransmitClientResponse", 9), ("ClientReceivedResponse", 10),
)  # fmt: skip


def trace(provider: float = 0, broker: float = 0) -> tuple[TraceEvent, ...]:
    """The way of a task; the provider's and the broker's clocks are so many ms ahead."""
    ahead = {"C": 0.0, "B": broker, "P": provider}
    return tuple(TraceEvent(10**18 + int((at + ahead[name[0]]) * MS), name) for name, at in WAY)


def test_steps() -> None:
    line = timeline(trace())
    assert [(step.event, step.at) for step in line.steps] == list(WAY)
    assert [step.took for step in line.steps] == [0, 1, 1, 1, 2, 2, 1, 1, 1]
    assert [step.side for step in line.steps] == [0, 1, 1, 2, 2, 2, 1, 1, 0]
    assert (line.total, line.skew) == (10, ())


def test_clocks_that_are_off_are_put_right() -> None:
    line = timeline(trace(provider=5000))
    assert [(step.event, step.at) for step in line.steps] == list(WAY)
    assert line.skew == (("provider", 5000),)
    line = timeline(trace(provider=-70, broker=-300))
    assert [(step.event, step.at) for step in line.steps] == list(WAY)
    assert dict(line.skew)["broker"] == -300


def test_a_provider_with_the_brokers_clock_is_moved_with_it() -> None:
    line = timeline(trace(provider=-300, broker=-300))
    assert [(step.event, step.at) for step in line.steps] == list(WAY)
    assert line.skew == (("broker", -300),)


def test_a_small_difference_is_left_alone() -> None:
    line = timeline(trace(provider=0.5))
    assert line.skew == ()
    assert [step.at for step in line.steps if step.side == 2] == [3.5, 5.5, 7.5]


def test_as_lines() -> None:
    lines = trace_lines(Result(0, task="t\x1b", provider="p", trace=trace(provider=5000)))
    assert lines[0] == "trace of task t\N{REPLACEMENT CHARACTER} at p, in ms: client, broker, provider"
    assert lines[5] == f"     5.000     +2.000  {' ' * 7}━━━━━{' ' * 12}      ProviderWorkerExecute"
    assert lines[-1] == "(the provider's clock is +5000.000 ms off; its events are moved)"
    assert not any("\x1b" in line for line in lines)
    assert "\x1b[32mProviderWorkerExecute\x1b[0m" in trace_lines(Result(0, trace=trace()), color=True)[5]
    assert trace_lines(Result(0)) == []


@given(
    st.lists(
        st.builds(
            TraceEvent,
            st.integers(-(2**63), 2**63 - 1),
            st.sampled_from([name for name, _ in WAY] + ["event 99", ""]),
            st.text(max_size=3),
        ),
        max_size=8,
    )
)
def test_any_trace_can_be_shown(events: list[TraceEvent]) -> None:
    line = timeline(events)
    assert sorted(step.event for step in line.steps) == sorted(event.event for event in events)
    assert all(step.took >= 0 for step in line.steps)
    for text, step in zip(trace_lines(Result(0, trace=tuple(events)))[1:], line.steps, strict=False):
        begin = len(f"{step.at:10.3f} {step.took:+10.3f}  ")
        assert len(text[begin : begin + BAR].rstrip()) <= BAR
        assert text[begin : begin + BAR].strip(" ━▏") == ""
