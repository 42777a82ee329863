"""The runtime over an in-memory link of real frames: what a broker says, and what it gets back."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from pyodide_provider.core import events as e
from pyodide_provider.core.run import Broken, Ended, Exited, Failed
from pyodide_provider.runtime import MAX_MESSAGE
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

from .fakes import Bench, task


def payload(envelope: pb.Envelope) -> Message:
    return codec.unpack(envelope)


def test_resources_are_the_first_frame_with_our_extension() -> None:
    bench = Bench(3)
    bench.runtime.feed(e.ConnectWanted())
    bench.runtime.feed(e.LinkOpened())
    (envelope,) = bench.link.take()
    assert (envelope.type, envelope.sequence) == (codec.EVENT, 0)
    resources = payload(envelope)
    assert resources == pb.Event.ProviderResources(concurrency=3, tasks=0, extension=1, engine="testing 1.0", runs=["wasip1"])


def test_events_are_counted_from_zero_on_every_link() -> None:
    bench = Bench(1).connect()
    bench.runtime.feed(e.WorkersWanted(2))
    assert [envelope.sequence for envelope in bench.link.take()] == [1]
    bench.runtime.feed(e.LinkLost("gone"))
    bench.hands.advance(1)
    bench.runtime.feed(e.LinkOpened())
    assert [envelope.sequence for envelope in bench.link.take()] == [0]


def test_the_listing_is_answered_with_the_refs_held_when_the_workers_are_up() -> None:
    bench = Bench(1)
    ref = bench.shelf.put(b"\0asm", "application/wasm")
    bench.runtime.feed(e.ConnectWanted())
    bench.runtime.feed(e.LinkOpened())
    bench.link.take()
    assert bench.ask(1, pb.Filesystem.Listing.Request()) == []
    bench.runtime.feed(e.SlotReady(1))
    (envelope,) = bench.link.take()
    assert (envelope.type, envelope.sequence) == (codec.RESPONSE, 1)
    assert payload(envelope) == pb.Filesystem.Listing.Response(files=[ref])


def test_a_task_is_posted_and_its_outcome_goes_back() -> None:
    bench = Bench(1).connect()
    assert bench.ask(5, task("a")) == []
    ((slot, (run,)),) = bench.workers.posts
    assert (slot, run.sequence, run.params.args) == (1, 5, ("prog",))
    (envelope,) = bench.end(1, [5], Exited(3, b"out", b"err", b"PK"))
    assert (envelope.type, envelope.sequence) == (codec.RESPONSE, 5)
    response = payload(envelope)
    assert isinstance(response, pb.Task.Wasip1.Response)
    assert response.info.id == "a"
    assert (response.ok.status, response.ok.stdout, response.ok.stderr) == (3, b"out", b"err")
    assert (response.ok.artifacts.media, response.ok.artifacts.blob) == ("application/zip", b"PK")


def test_a_tasks_own_fault_is_in_its_response_and_trouble_is_in_the_envelope() -> None:
    bench = Bench(2).connect()
    bench.ask(1, task("a"))
    bench.ask(2, task("b"))
    (failed,) = bench.end(1, [1], Failed("unreachable"))
    response = payload(failed)
    assert isinstance(response, pb.Task.Wasip1.Response)
    assert (response.error, failed.error) == ("unreachable", "")
    (broken,) = bench.end(2, [2], Broken("no network"))
    assert (broken.sequence, broken.error) == (2, "no network")
    assert not broken.HasField("payload")


def test_an_outcome_that_no_broker_would_take_is_an_error_that_says_so() -> None:
    bench = Bench(1).connect()
    bench.ask(1, task("a"))
    (envelope,) = bench.end(1, [1], Exited(0, bytes(MAX_MESSAGE)))
    response = payload(envelope)
    assert isinstance(response, pb.Task.Wasip1.Response)
    assert response.info.id == "a"
    assert response.error.startswith("the outcome is too large to send: 67108")


class TestBatches:
    def test_an_unmodified_broker_gets_an_envelope_per_frame(self) -> None:
        bench = Bench(2).connect()
        bench.say(*(codec.request(n, pb.Ping()) for n in (1, 2)))
        bench.ask(3, task("a"))
        bench.ask(4, task("b"))
        bench.runtime.feed(e.DrainWanted())
        assert all(not codec.is_batch(frame) for frame in bench.link.frames)

    def test_a_broker_that_sent_a_batch_gets_batches(self) -> None:
        bench = Bench(1).connect()
        bench.runtime.receive(codec.batch(codec.request(n, pb.Ping()) for n in (1, 2, 3)))
        (frame,) = bench.link.frames
        assert codec.is_batch(frame)
        assert [envelope.sequence for envelope in bench.link.take()] == [1, 2, 3]

    def test_a_batch_of_one_shows_it_too_and_a_single_answer_needs_no_wrapping(self) -> None:
        bench = Bench(1).connect()
        bench.runtime.receive(codec.batch([codec.request(1, pb.Ping())]))
        (frame,) = bench.link.frames
        assert not codec.is_batch(frame)

    def test_the_next_link_starts_without(self) -> None:
        bench = Bench(1).connect()
        bench.say(codec.request(1, pb.Ping()), batch=True)
        bench.runtime.feed(e.LinkLost("gone"))
        bench.hands.advance(1)
        bench.connect()
        bench.runtime.receive(codec.request(1, task("a")))
        bench.runtime.receive(codec.request(2, task("b")))
        bench.runtime.feed(e.CancelAsked(3, "b", "x"))
        assert len(bench.link.frames) == 2
        assert all(not codec.is_batch(frame) for frame in bench.link.frames)

    def test_runs_of_one_frame_reach_a_slot_in_one_post(self) -> None:
        bench = Bench(1).connect()
        bench.ask(1, task("warm"))
        bench.end(1, [1])
        bench.workers.posts.clear()
        bench.say(*(codec.request(n, task(f"t{n}")) for n in range(2, 12)), batch=True)
        ((slot, runs),) = bench.workers.posts
        assert slot == 1
        assert [run.sequence for run in runs] == list(range(2, 12))
        (bench.end(1, range(2, 12)))
        assert len(bench.screen.lines) == 1

    def test_large_answers_are_split_over_frames(self) -> None:
        bench = Bench(1).connect()
        bench.say(codec.request(1, task("warm")), batch=True)
        bench.end(1, [1])
        bench.say(*(codec.request(n, task(f"t{n}")) for n in range(2, 8)), batch=True)
        ended = tuple(Ended(n, Exited(0, bytes(600_000)), 0.0001) for n in range(2, 8))
        bench.runtime.feed(e.RunsEnded(1, ended))
        assert len(bench.link.frames) == 6
        assert [envelope.sequence for envelope in bench.link.take()] == list(range(2, 8))

    def test_a_post_for_a_slot_that_dies_in_the_same_turn_is_forgotten(self) -> None:
        bench = Bench(1).connect()
        bench.say(codec.request(1, task("a")), codec.request(2, pb.Task.Cancel(id="a", reason="x")), batch=True)
        assert bench.workers.posts == []
        assert bench.workers.alive == {2}


class TestRequests:
    def test_ping(self) -> None:
        (envelope,) = Bench().connect().ask(7, pb.Ping())
        assert (envelope.type, envelope.sequence) == (codec.RESPONSE, 7)
        assert payload(envelope) == pb.Ping()

    def test_upload_and_probe(self) -> None:
        bench = Bench().connect()
        (stored,) = bench.ask(1, pb.Filesystem.Upload.Request(upload=pb.File(blob=b"bytes", media="application/zip")))
        response = payload(stored)
        assert isinstance(response, pb.Filesystem.Upload.Response)
        for file, expected in ((response.ref, True), ("sha256:0", False)):
            (probed,) = bench.ask(2, pb.Filesystem.Probe.Request(file=file))
            assert payload(probed) == pb.Filesystem.Probe.Response(ok=expected)

    def test_download_says_whom_to_ask(self) -> None:
        (envelope,) = Bench().connect().ask(1, pb.Filesystem.Download.Request(file="x"))
        response = payload(envelope)
        assert isinstance(response, pb.Filesystem.Download.Response)
        assert "ask the broker" in response.err

    def test_cancel_is_answered_with_a_cancel_of_the_same_id(self) -> None:
        bench = Bench(1).connect()
        bench.ask(1, task("a"))
        broken, cancelled = bench.ask(2, pb.Task.Cancel(id="a", reason="client gone"))
        assert (broken.sequence, broken.error) == (1, "cancelled: client gone")
        assert cancelled.sequence == 2
        assert payload(cancelled) == pb.Task.Cancel(id="a", reason="client gone")

    def test_a_task_without_params_is_told_so_in_its_response(self) -> None:
        request = pb.Task.Wasip1.Request()
        request.info.id = "empty"
        (envelope,) = Bench().connect().ask(1, request)
        response = payload(envelope)
        assert isinstance(response, pb.Task.Wasip1.Response)
        assert response.info.id == "empty"
        assert "needs params with a binary" in response.error

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (pb.Task.Pyodide.Request(), "runs no Python tasks"),
            (pb.Task.Wasip1.JobRequest(), "does not answer wasimoff.v1.Task.Wasip1.JobRequest"),
            (pb.Filesystem.Upload.Request(), "needs a blob"),
            (pb.Filesystem.Upload.Request(upload=pb.File(blob=bytes(2000))), "too large"),
            (pb.Filesystem.Upload.Request(upload=pb.File(blob=b"x", ref="sha256:00")), "not sha256:00"),
        ],
    )
    def test_what_it_does_not_do_is_answered_in_words(self, request_: Message, words: str) -> None:
        (envelope,) = Bench().connect().ask(3, request_)
        assert envelope.sequence == 3
        assert words in envelope.error

    def test_an_unknown_request_is_answered_and_the_link_goes_on(self) -> None:
        bench = Bench().connect()
        envelope = pb.Envelope(sequence=4, type=pb.Envelope.Request)
        envelope.payload.type_url = "wasimoff/wasimoff.v9.Nonsense"
        (answer,) = bench.say(envelope.SerializeToString())
        assert "unknown payload type" in answer.error
        envelope.payload.type_url, envelope.payload.value = "x/wasimoff.v1.Task.Wasip1.Request", b"\xff\xff"
        (answer,) = bench.say(envelope.SerializeToString())
        assert "does not decode" in answer.error
        assert bench.link.closed == []

    def test_a_request_without_sequence_or_with_one_too_large_is_told_so(self) -> None:
        bench = Bench().connect()
        envelope = pb.Envelope(type=pb.Envelope.Request)
        envelope.payload.Pack(task("a"), "wasimoff")
        (answer,) = bench.say(envelope.SerializeToString())
        assert "needs a sequence" in answer.error
        (answer,) = bench.ask(2**63, task("a"))
        assert (answer.sequence, "too large" in answer.error) == (2**63, True)
        assert bench.workers.posts == []


class TestBrokerSpeaks:
    def test_cluster_and_throughput_are_shown(self) -> None:
        bench = Bench().connect()
        bench.say(
            codec.event(0, pb.Event.ClusterInfo(providers=7)),
            codec.event(1, pb.Event.Throughput(overall=2.5, yours=1.0)),
            codec.event(2, pb.Event.GenericMessage(message="hello")),
        )
        assert (bench.runtime.status().peers, bench.runtime.status().throughput) == (7, 2.5)
        assert bench.screen.lines[-1] == "the broker says: hello"

    def test_unknown_events_and_responses_are_ignored(self) -> None:
        bench = Bench().connect()
        event = pb.Envelope(sequence=1, type=pb.Envelope.Event)
        event.payload.type_url = "wasimoff/wasimoff.v9.Party"
        assert bench.say(event.SerializeToString(), codec.response(1, pb.Ping()), codec.failure(2, "what")) == []
        assert bench.link.closed == []

    @pytest.mark.parametrize(
        "frame",
        [
            b"\xff\xff\xff",
            b"",
            pb.Envelope(sequence=1).SerializeToString(),
            codec.batch([codec.batch([codec.request(1, pb.Ping())])]),
            codec.batch([codec.request(1, pb.Ping())] * (codec.MAX_BATCH + 1)),
        ],
    )
    def test_garbage_closes_the_link_with_1011_and_it_is_tried_again(self, frame: bytes) -> None:
        bench = Bench(1).connect()
        bench.ask(1, task("a"))
        bench.runtime.receive(frame)
        ((code, reason),) = bench.link.closed
        assert code == 1011
        assert reason
        assert bench.workers.alive == {2}
        assert bench.runtime.status().link == "waiting"
        bench.hands.advance(1)
        assert bench.link.opened == 2

    def test_frames_of_a_closed_link_are_not_read(self) -> None:
        bench = Bench(1).connect()
        bench.runtime.feed(e.DisconnectWanted())
        assert bench.ask(1, task("late")) == []
        assert bench.ask(2, pb.Ping()) == []
        assert bench.workers.posts == []

    @settings(max_examples=300)
    @given(st.binary(max_size=60))
    def test_any_bytes_are_survived(self, frame: bytes) -> None:
        bench = Bench(1).connect()
        bench.runtime.receive(frame)
        bench.state.validate()
        if not bench.link.closed:
            assert any(envelope.sequence == 99 for envelope in bench.ask(99, pb.Ping()))


class TestSilence:
    def test_a_broker_that_pings_is_kept(self) -> None:
        bench = Bench(1).connect()
        for n in range(20):
            bench.hands.advance(5)
            bench.ask(n + 1, pb.Ping())
        assert bench.link.closed == []

    def test_a_silent_broker_is_given_up_and_tried_again(self) -> None:
        bench = Bench(1).connect()
        bench.hands.advance(41)
        assert bench.link.closed == [(1011, "the broker was silent for 20 s")]
        assert bench.link.opened == 2

    def test_the_watch_of_an_old_link_does_not_end_the_new_one(self) -> None:
        bench = Bench(1).connect()
        bench.hands.advance(15)
        bench.runtime.feed(e.LinkLost("gone"))
        bench.hands.advance(1)
        bench.runtime.feed(e.LinkOpened())
        bench.hands.advance(10)
        assert bench.link.closed == []


class TestTurns:
    def test_an_event_that_comes_while_sending_waits_for_its_turn(self) -> None:
        bench = Bench(1).connect()
        bench.link.on_send = lambda frame: bench.runtime.feed(e.LinkLost("broken pipe"))
        bench.runtime.receive(codec.request(1, pb.Ping()))
        assert bench.runtime.status().reason == "broken pipe"
        assert bench.hands.waiting

    def test_what_was_gathered_for_a_lost_link_is_not_sent(self) -> None:
        bench = Bench(2).connect()
        sent: list[bytes] = []

        def lose(frame: bytes) -> None:
            sent.append(frame)
            bench.link.on_send = None
            bench.runtime.receive(codec.request(2, pb.Ping()))
            bench.runtime.feed(e.LinkLost("gone"))

        bench.link.on_send = lose
        bench.runtime.receive(codec.request(1, pb.Ping()))
        assert len(bench.link.take()) == 1

    def test_the_last_outcome_is_sent_before_the_link_closes(self) -> None:
        bench = Bench(1).connect()
        bench.ask(1, task("a"))
        bench.runtime.feed(e.DrainWanted())
        bench.link.take()
        order: list[str] = []
        bench.link.on_send = lambda frame: order.append("send")
        bench.link.on_close = lambda: order.append("close")
        bench.end(1, [1])
        assert order == ["send", "close"]
        assert bench.screen.ended
        assert bench.workers.alive == set()


class TestStatus:
    def test_it_is_shown_when_something_changed_a_few_times_a_second(self) -> None:
        bench = Bench(1).connect()
        bench.hands.advance(1)
        bench.screen.shown.clear()
        for n in range(100):
            bench.ask(n + 1, task(f"t{n}"))
            bench.end(1, [n + 1])
            assert len(bench.hands.waiting) <= 2, "one timer for the status, one for the silence"
            bench.hands.advance(0.01)
        assert 3 <= len(bench.screen.shown) <= 6
        bench.hands.advance(1)
        assert bench.screen.shown[-1].done == 100

    def test_it_is_not_shown_when_nothing_changed(self) -> None:
        bench = Bench(1).connect()
        bench.hands.advance(1)
        bench.screen.shown.clear()
        for n in range(10):
            bench.ask(n + 1, pb.Ping())
            bench.hands.advance(1)
        assert bench.screen.shown == []
