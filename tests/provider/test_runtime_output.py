"""What the runtime tells while tasks run, and when things happened to those with a trace."""

from __future__ import annotations

from pyodide_provider.core import events as e
from pyodide_provider.core.run import Broken, Ended, Exited, Failed, Usage
from pyodide_provider.runtime import MAX_UNSENT
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

from .fakes import Bench, task

Event = pb.Task.TraceEvent
PROVIDER_EVENTS = [
    Event.ProviderTaskReceived,
    Event.ProviderGetWorker,
    Event.ProviderPostToWorker,
    Event.ProviderWorkerPrepare,
    Event.ProviderWorkerExecute,
    Event.ProviderWorkerDone,
    Event.ProviderTransmitResult,
]


def followed(name: str) -> pb.Task.Wasip1.Request:
    request = task(name)
    request.qos.follow = True
    return request


def writes(bench: Bench, slot: int, sequence: int, stdout: bytes = b"", stderr: bytes = b"") -> list[pb.Event.TaskOutput]:
    bench.runtime.feed(e.OutputWritten(slot, sequence, stdout, stderr))
    envelopes = bench.link.take()
    assert all(envelope.type == codec.EVENT for envelope in envelopes)
    payloads = [codec.unpack(envelope) for envelope in envelopes]
    return [payload for payload in payloads if isinstance(payload, pb.Event.TaskOutput)]


def own(bench: Bench) -> Bench:
    """The broker shows that it is of our own kind."""
    bench.say(codec.request(1000, pb.Ping()), batch=True)
    return bench


def test_output_is_told_to_a_broker_of_our_own_kind() -> None:
    bench = own(Bench(1).connect())
    bench.ask(5, followed("a"))
    assert writes(bench, 1, 5, b"out") == [pb.Event.TaskOutput(request=5, stdout=b"out")]
    assert writes(bench, 1, 5, b"", b"err") == [pb.Event.TaskOutput(request=5, stderr=b"err")]


def test_a_run_that_is_stopped_tells_what_its_slot_has_used() -> None:
    bench = own(Bench(1).connect())
    request = task("a")
    request.params.limits.wall_ms = 1500
    bench.ask(5, request)
    bench.runtime.feed(e.RunBegan(1, 5))
    bench.hands.advance(1.6)
    (told,) = [codec.unpack(envelope) for envelope in bench.link.take() if envelope.type == codec.RESPONSE]
    assert isinstance(told, pb.Task.Wasip1.Response)
    assert told.error == "time limit exceeded: ran for 1.5 s, at most 1.5 s"
    assert told.usage.cpu_us == 750_000


def test_an_unmodified_broker_is_sent_no_event_that_it_does_not_know() -> None:
    bench = Bench(1).connect()
    bench.ask(5, followed("a"))
    assert writes(bench, 1, 5, b"out") == []


def test_a_broker_that_reads_nothing_is_told_no_more_of_that_run_and_gets_its_end() -> None:
    bench = own(Bench(2).connect())
    bench.ask(5, followed("a"))
    bench.ask(6, followed("b"))
    bench.link.waiting = MAX_UNSENT
    assert writes(bench, 1, 5, b"x") == []
    bench.link.waiting = 0
    assert writes(bench, 1, 5, b"y") == [], "what was left out can't be told later: there would be a gap"
    assert writes(bench, 2, 6, b"z") == [pb.Event.TaskOutput(request=6, stdout=b"z")]
    (ended,) = bench.end(1, [5], Exited(0, b"xy"))
    assert ended.sequence == 5
    bench.ask(7, followed("c"))
    assert len(writes(bench, 1, 7, b"w")) == 1


def test_a_flood_within_one_turn_is_bounded_too() -> None:
    bench = own(Bench(1).connect())
    bench.ask(5, followed("a"))

    def flood(frame: bytes) -> None:
        bench.link.on_send = None
        for _ in range(100):
            bench.runtime.feed(e.OutputWritten(1, 5, bytes(100_000), b""))

    bench.link.on_send = flood
    bench.runtime.feed(e.OutputWritten(1, 5, b"first", b""))
    sent = sum(envelope.ByteSize() for envelope in bench.link.take())
    assert 0 < sent < MAX_UNSENT + 200_000


def test_output_of_a_link_that_is_gone_is_told_nobody() -> None:
    bench = own(Bench(1).connect())
    bench.ask(5, followed("a"))
    bench.runtime.feed(e.LinkLost("gone"))
    assert writes(bench, 1, 5, b"x") == []


def traced(name: str) -> pb.Task.Wasip1.Request:
    request = task(name)
    request.info.trace.created = 7
    request.info.trace.events.add(unixnano=8, event=Event.BrokerTransmitProviderTask)
    return request


def response(envelope: pb.Envelope) -> pb.Task.Wasip1.Response:
    payload = codec.unpack(envelope)
    assert isinstance(payload, pb.Task.Wasip1.Response)
    return payload


def test_a_trace_has_all_our_events_in_order() -> None:
    bench = Bench(1).connect()
    bench.ask(5, traced("a"))
    bench.runtime.feed(e.RunsEnded(1, (Ended(5, Exited(0, b"out"), 0.25, Usage(compile=0.5)),)))
    (envelope,) = bench.link.take()
    answer = response(envelope)
    first, *ours = answer.info.trace.events
    assert (answer.info.id, answer.ok.stdout, answer.info.trace.created) == ("a", b"out", 7)
    assert (first.unixnano, first.event) == (8, Event.BrokerTransmitProviderTask)
    assert [event.event for event in ours] == PROVIDER_EVENTS
    times = [event.unixnano for event in ours]
    assert times == sorted(times)
    assert all(event.HasField("details") for event in ours)


def test_a_run_that_was_handed_out_twice_has_each_event_once() -> None:
    bench = Bench(1).connect()
    bench.ask(5, task("other"))
    bench.end(1, [5])
    bench.ask(6, task("quick"))
    bench.ask(7, traced("a"))
    bench.workers.alive.remove(1)
    bench.runtime.feed(e.SlotLost(1, "died"))
    bench.link.take()
    bench.runtime.feed(e.SlotReady(2))
    (envelope,) = bench.end(2, [7])
    assert [event.event for event in response(envelope).info.trace.events][1:] == PROVIDER_EVENTS


def test_a_failed_run_has_its_trace_and_a_broken_one_has_none() -> None:
    bench = Bench(2).connect()
    bench.ask(5, traced("a"))
    bench.ask(6, traced("b"))
    (failed,) = bench.end(1, [5], Failed("unreachable"))
    assert [event.event for event in response(failed).info.trace.events][1:] == PROVIDER_EVENTS
    (broken,) = bench.end(2, [6], Broken("no network"))
    assert (broken.error, broken.HasField("payload")) == ("no network", False)


def test_without_a_trace_nothing_is_added() -> None:
    bench = Bench(1).connect()
    bench.ask(5, task("a"))
    (envelope,) = bench.end(1, [5])
    assert not response(envelope).info.HasField("trace")
