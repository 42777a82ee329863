"""What providers answer, rightly and wrongly: late, doubled, refused, for someone else, too much, or never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from broker import app, sockets
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import Closed, Peer, Provider, Response, World, output, task, until, world

Pyodide = pb.Task.Pyodide


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world(max_refusals=3, max_losses=3) as found:
        yield found


# Answers that are results


async def test_an_error_of_the_task_itself_is_not_tried_again(w: World):
    bad, idle, client = await w.provider("bad"), await w.provider("idle"), await w.client()
    await client.request(task("app"))
    sequence, request = await bad.run()
    await bad.answer(sequence, Response(info=pb.Task.Metadata(id=request.info.id), error="bad wasm"))
    response = await client.answer()
    assert (response.error, response.info.provider, response.info.attempt) == ("bad wasm", "bad", 1)
    assert not w.state.running
    assert not idle.told


async def test_an_answer_need_not_name_its_task(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app", id="mine"))
    sequence, _ = await provider.run()
    await provider.answer(sequence, Response(ok=pb.Task.Wasip1.Output(status=3)))
    response = await client.answer()
    assert (response.info.id, response.ok.status) == ("mine", 3)


async def test_answers_may_come_in_any_order(w: World):
    provider, client = await w.provider(slots=3), await w.client()
    for name in "abc":
        await client.request(task("app", name, id=name))
    runs = [await provider.run() for _ in "abc"]
    for sequence, request in reversed(runs):
        await provider.answer(sequence, output(request, request.params.args[0].encode()))
    answers = [await client.answer() for _ in runs]
    assert [(a.info.id, a.ok.stdout) for a in answers] == [("c", b"c"), ("b", b"b"), ("a", b"a")]


async def test_a_doubled_answer_is_ignored_and_counted(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    sequence, request = await provider.run()
    for stdout in (b"first", b"second"):
        await provider.answer(sequence, output(request, stdout))
    assert (await client.answer()).ok.stdout == b"first"
    await until(lambda: w.state.strays == 1)
    assert (await client.run(pb.Ping())).type == codec.RESPONSE


@pytest.mark.parametrize("sequence", [0, 1, 2, 99, 2**64 - 1])
async def test_an_answer_to_nothing_is_ignored(w: World, sequence: int):
    provider, client = await w.provider(), await w.client()
    for answer in (Response(error="x"), Pyodide.Response(), pb.Ping(), pb.Task.Cancel(), pb.Filesystem.Listing.Response()):
        await provider.answer(sequence, answer)
    await provider.send(codec.failure(sequence + (sequence == 1), "x"))
    await client.request(task("app"))
    run, request = await provider.run()
    await provider.answer(run, output(request))
    assert (await client.answer()).ok.stdout == b"out"


# Answers that are none


async def refused_by_first(w: World, first: Provider, answer: bytes, reason: str) -> None:
    """The first provider says `answer` (for sequence 2); the task finishes at another, at the second attempt."""
    client = await w.client()
    await client.request(task("app"))
    sequence, _ = await first.run()
    assert sequence == 2
    other = await w.provider("other")
    await first.send(answer)
    sequence, request = await other.run()
    assert request.info.attempt == 2
    ((known, reasons),) = [(p, run.task.reasons) for p in w.state.providers.values() for run in p.runs.values()]
    assert known.name == "other"
    assert reasons == [f"attempt 1 at p: {reason}"]
    await other.answer(sequence, output(request))
    response = await client.answer()
    assert (response.ok.stdout, response.info.provider, response.info.attempt) == (b"out", "other", 2)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (codec.failure(2, "no memory"), "no memory"),
        (codec.response(2, Response(info=pb.Task.Metadata(id="x"))), "answered with neither a result nor an error"),
        (codec.response(2, Pyodide.Response(error="x")), "answered with a wasimoff.v1.Task.Pyodide.Response"),
    ],
    ids=["error", "neither", "wrong type"],
)
async def test_an_infrastructure_error_is_tried_elsewhere(w: World, answer: bytes, reason: str):
    first = await w.provider()
    await refused_by_first(w, first, answer, reason)
    assert len(w.state.providers) == 2


async def test_an_answer_for_someone_elses_task_loses_the_provider_not_the_task(w: World):
    liar = await w.provider()
    reason = "lost (answered for task 'stolen', which it was not given)"
    stolen = codec.response(2, Response(info=pb.Task.Metadata(id="stolen"), ok=pb.Task.Wasip1.Output(stdout=b"x")))
    await refused_by_first(w, liar, stolen, reason)
    closed = await liar.closed()
    assert (closed.code, closed.reason) == (1008, "answered for task 'stolen', which it was not given")


@pytest.mark.parametrize("frame", [b"\xff", codec.batch([b""]), b"\x08\x02\x10\x02", b"\x08\x02\x10\x02\x22\x03\x0a\x01x"])
async def test_a_frame_that_breaks_the_protocol_loses_the_provider_not_the_task(w: World, frame: bytes):
    broken, client = await w.provider(), await w.client()
    await client.request(task("app"))
    await broken.run()
    await broken.ws.send_bytes(frame)
    assert (await broken.closed()).code == 1011
    w.serve(await w.provider("other"))
    assert (await client.answer()).info.provider == "other"


async def test_what_follows_a_broken_frame_is_not_believed(w: World):
    broken, client = await w.provider(), await w.client()
    await client.request(task("app"))
    sequence, request = await broken.run()
    await broken.ws.send_bytes(codec.batch([b"\x08\x02", codec.response(sequence, output(request, b"too late"))]))
    await broken.closed()
    w.serve(await w.provider("other"))
    assert (await client.answer()).ok.stdout == b"out"


@pytest.mark.parametrize("how", ["close", "lose"])
async def test_a_lost_provider_loses_no_task(w: World, how: str):
    lost, client = await w.provider("lost", 2), await w.client()
    for name in "abc":
        await client.request(task("app", name))
    for _ in range(2):
        await lost.run()
    await (lost.ws.close() if how == "close" else lost.lose())
    await until(lambda: not w.state.providers)
    assert w.state.waiting == 3
    w.serve(await w.provider("other"), b"")
    assert sorted([(await client.answer()).ok.stdout for _ in "abc"]) == [b"a", b"b", b"c"]
    assert w.state.done == 3


async def test_refused_everywhere_ends_with_every_reason(w: World):
    providers = [await w.provider(f"p{n}") for n in range(3)]
    client = await w.client()
    sent = await client.request(task("app"))
    for number, provider in enumerate(providers):
        sequence, request = await provider.run()
        assert request.info.attempt == number + 1
        await provider.send(codec.failure(sequence, f"reason {number}"))
    envelope = await client.next()
    reasons = "; ".join(f"attempt {n + 1} at p{n}: reason {n}" for n in range(3))
    assert (envelope.sequence, envelope.error) == (sent, f"unavailable: lost after 3 attempts: {reasons}")


async def test_with_nobody_else_it_is_tried_again_at_the_same_provider_after_a_rest(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    sequence, _ = await provider.run()
    await provider.send(codec.failure(sequence, "not now"))
    sequence, request = await provider.run()
    assert request.info.attempt == 2
    await provider.answer(sequence, output(request))
    assert (await client.answer()).info.attempt == 2


async def test_reasons_are_bounded_whatever_a_provider_says(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    for _ in range(3):
        sequence, _ = await provider.run()
        await provider.send(codec.failure(sequence, "é" * 100_000))
    assert len((await client.next()).error) < 2000


async def test_a_cancelled_run_that_is_never_answered_costs_the_provider_its_connection():
    async with world(cancel_grace=0.2, ping_seconds=0.2) as w:
        stuck, client = await w.provider(), await w.client()
        await client.request(task("app", id="mine"))
        await stuck.run()
        await client.request(pb.Task.Cancel(id="mine"))
        _, cancel = await stuck.cancel()
        with pytest.raises(Closed) as closed:
            await stuck.run()
        assert closed.value.code == 1008
        assert cancel.id in closed.value.reason


async def test_a_run_that_is_never_answered_has_a_limit():
    async with world(run_seconds=0.2, ping_seconds=0.2) as w:
        stuck, client = await w.provider(), await w.client()
        await client.request(task("app"))
        await stuck.run()
        error = (await client.next()).error
        assert error == "deadline_exceeded: no answer from p within 0.2 s, the limit of one run"
        await stuck.cancel()


# Floods


async def test_a_flood_of_events_is_read_and_remembered_in_bounds(w: World):
    provider, client = await w.provider(), await w.client()
    for round in range(8):
        files = [f"sha256:{n:064x}" for n in range(round * 1000, round * 1000 + 1000)]
        flood = [
            codec.event(1, pb.Event.FileSystemUpdate(added=files, removed=files[:10])),
            codec.event(2, pb.Event.GenericMessage(message="x" * 1000)),
            codec.event(3, pb.Event.ClusterInfo(providers=5)),
            codec.event(4, pb.Event.ProviderResources(concurrency=2**32 - 1, tasks=2**32 - 1, engine="e" * 10_000)),
        ]
        await provider.ws.send_bytes(codec.batch(flood * 50))
    await provider.announce(1)
    await client.request(task("app"))
    sequence, request = await provider.run()
    await provider.answer(sequence, output(request))
    assert (await client.answer()).ok.stdout == b"out"
    (known,) = w.state.providers.values()
    assert len(known.modules) <= 256
    assert len(known.engine) <= 200
    assert known.concurrency == 1


async def test_what_a_provider_says_it_holds_is_remembered_only_if_it_can_be_a_file(w: World):
    provider = await w.greeting()
    files = ["", "x" * 1_000_000, "sha256:" + "0" * 1_000_000, "sha256:" + "0" * 64]
    await provider.answer(1, pb.Filesystem.Listing.Response(files=files))
    await until(lambda: any(p.modules for p in w.state.providers.values()))
    (known,) = w.state.providers.values()
    assert list(known.modules) == ["sha256:" + "0" * 64]


async def test_kinds_of_runs_are_remembered_in_bounds(w: World):
    await w.provider(slots=1, extension=1, runs=["wasip1", *(f"{n}" * 100_000 for n in range(100))])
    (known,) = w.state.providers.values()
    assert sum(map(len, known.offers)) < 2000
    assert "wasip1" in known.offers


async def test_a_provider_may_not_ask_for_anything(w: World):
    provider = await w.provider()
    await provider.send(codec.request(5, task("app")))
    envelope = await provider.next()
    while envelope.type == codec.EVENT:
        envelope = await provider.next()
    assert envelope.error == "wasimoff.v1.Task.Wasip1.Request is not something a provider may ask"


def stop_reading(peer: Peer) -> None:
    """So that what the broker writes piles up on its side."""
    connection = peer.ws._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()  # type: ignore[attr-defined]


def unread(w: World) -> int:
    outboxes = [link.outbox for link in w.broker.dispatcher.links.values()] + [c._outbox for c in w.broker._clients]
    return sum(outbox._transport.get_write_buffer_size() for outbox in outboxes)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(app, "UNREAD", 1 << 20)


MANY = 200
DEAF: dict[str, tuple[bytes, int]] = {
    "results": (codec.batch([codec.request(n, task("app", "x" * 20_000)) for n in range(MANY)]), 200),
    "pongs": (codec.batch([codec.request(n, pb.Ping()) for n in range(1000)]), 1000),
    "errors": (codec.batch([codec.request(n, pb.Event.ClusterInfo()) for n in range(1000)]), 1000),
    "cancels": (codec.batch([codec.request(n, pb.Task.Cancel(id="x" * 500)) for n in range(100)]), 1000),
}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("kind", DEAF)
async def test_a_client_that_never_reads_is_dropped_before_it_fills_the_memory(kind: str):
    frame, times = DEAF[kind]
    async with world(max_message=5 << 20) as w:
        deaf = await w.client()
        stop_reading(deaf)
        w.serve(await w.provider(slots=MANY, extension=1), b"")
        most = 0
        for _ in range(times):
            if not w.broker._clients:
                break
            with suppress(ConnectionError):
                await asyncio.wait_for(deaf.ws.send_bytes(frame), 20)
            await asyncio.sleep(0)
            most = max(most, unread(w))
        await until(lambda: not w.broker._clients)
        assert 6 << 20 < most < 16 << 20
        assert (await (await w.client()).run(pb.Ping())).type == codec.RESPONSE


@pytest.mark.usefixtures("_impatient")
async def test_a_provider_that_never_reads_is_dropped_before_it_fills_the_memory():
    async with world(max_message=1 << 16, queue_bytes=1 << 20) as w:
        deaf = await w.provider("deaf", 4)
        stop_reading(deaf)
        frame = codec.batch([codec.request(n, pb.Ping()) for n in range(1000)])
        most = 0
        for _ in range(1000):
            if not w.state.providers:
                break
            with suppress(ConnectionError):
                await asyncio.wait_for(deaf.ws.send_bytes(frame), 20)
            await asyncio.sleep(0)
            most = max(most, unread(w))
        await until(lambda: not w.state.providers)
        assert 2 << 20 < most < 3 << 20


@pytest.mark.usefixtures("_impatient")
async def test_a_provider_that_never_reads_its_tasks_loses_them_to_others():
    async with world(max_message=1 << 20, ping_seconds=0.1, queue_bytes=8 << 20) as w:
        deaf, client = await w.provider("deaf", 4096), await w.client()
        stop_reading(deaf)
        for n in range(16):
            await client.request(task("app", "x" * 400_000, str(n)))
        await until(lambda: not w.state.providers)
        assert w.state.waiting == 16
        w.serve(await w.provider("other", 8))
        assert {(await client.answer()).info.provider for _ in range(16)} == {"other"}


@pytest.mark.usefixtures("_impatient")
async def test_a_provider_may_be_given_a_lot_at_once():
    """All that waits: it is not deaf because the first of it is still on its way."""
    async with world(max_message=1 << 20, queue_bytes=64 << 20) as w:
        client = await w.client()
        for n in range(60):
            await client.request(task("app", "x" * 1_000_000, str(n)))
        await until(lambda: w.state.waiting == 60)
        w.serve(await w.provider("strong", 100))
        assert {(await client.answer()).info.attempt for _ in range(60)} == {1}


@pytest.mark.usefixtures("_impatient")
async def test_one_answer_may_be_as_large_as_it_is():
    async with world(max_message=3 << 20) as w:
        w.serve(await w.provider(slots=4), bytes(2 << 20))
        client = await w.client()
        params = pb.Task.Wasip1.Params(binary=pb.File(ref="app"))
        envelope = await client.run(pb.Task.Wasip1.JobRequest(parent=params, tasks=[pb.Task.Wasip1.Params()] * 10))
        assert sum(len(t.ok.stdout) for t in codec.unpack(envelope).tasks) == 20 << 20


# Batches


async def test_batches_go_to_peers_of_our_kind_only(w: World):
    own, plain = await w.provider("own", 4, extension=1), await w.provider("plain", 4)
    client = await w.client()
    await client.ws.send_bytes(codec.batch([codec.request(n, task("app", str(n))) for n in range(8)]))
    await until(lambda: w.state.running == 8)
    for provider in (own, plain):
        for _ in range(4):
            await provider.run()
    assert max(own.frames) == 4
    assert set(plain.frames) == {1}


async def test_the_first_frame_after_the_extension_is_shown_is_a_batch(w: World):
    """It tells the provider that we understand batches as well."""
    provider = await w.greeting()
    await provider.next()
    await provider.announce(1, extension=1)
    message = await provider.ws.receive_bytes(timeout=20)
    assert codec.is_batch(message)


async def test_a_batch_has_so_many_envelopes_and_bytes(w: World):
    own = await w.provider("own", 1000, extension=1)
    client = await w.client()
    await client.ws.send_bytes(codec.batch([codec.request(n, task("app")) for n in range(1000)]))
    for _ in range(1000):
        await own.run()
    assert max(own.frames) == 256


async def test_answers_may_come_in_a_batch(w: World):
    own, client = await w.provider("own", 8, extension=1), await w.client()
    for _ in range(8):
        await client.request(task("app"))
    runs = [await own.run() for _ in range(8)]
    await own.ws.send_bytes(codec.batch([codec.response(s, output(r)) for s, r in runs]))
    for _ in range(8):
        assert (await client.answer()).ok.stdout == b"out"
