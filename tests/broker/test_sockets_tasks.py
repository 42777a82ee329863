"""What a client may ask over its WebSocket, what it is told when it can't be done, and how its tasks end early."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import WASM, Client, World, output, task, until, world

Wasip1 = pb.Task.Wasip1
Pyodide = pb.Task.Pyodide


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def refusal(client: Client, request: Message) -> str:
    envelope = await client.run(request)
    assert not envelope.HasField("payload")
    return envelope.error


# Envelopes


async def test_a_request_without_a_sequence_is_answered_with_an_error(w: World):
    client = await w.client()
    frame = codec.request(1, pb.Ping())[2:]
    await client.send(frame)
    envelope = await client.next()
    assert (envelope.sequence, envelope.HasField("sequence")) == (0, True)
    assert envelope.error == "a Request needs a sequence: the Response carries the same"
    assert (await client.run(pb.Ping())).error == ""


@pytest.mark.parametrize("kind", [None, 0, 77])
async def test_an_envelope_without_a_type_is_answered_with_an_error(w: World, kind: int | None):
    client = await w.client()
    await client.ws.send_bytes(b"\x08\x05" + (b"" if kind is None else bytes((0x10, kind))))
    envelope = await client.next()
    assert (envelope.sequence, envelope.error) == (5, "Envelope without a type")


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ("08051001", "Envelope without payload"),
        ("0805100122050a03612f62", "unknown payload type 'a/b'"),
        ("0805100122", None),
    ],
)
async def test_requests_without_a_payload_that_is_known(w: World, frame: str, error: str | None):
    client = await w.client()
    await client.ws.send_bytes(bytes.fromhex(frame))
    if error is None:
        assert (await client.closed()).code == 1011
    else:
        envelope = await client.next()
        assert (envelope.sequence, envelope.type, envelope.error) == (5, codec.RESPONSE, error)


async def test_a_payload_that_does_not_decode_is_an_error_of_that_request_alone(w: World):
    client = await w.client()
    envelope = pb.Envelope(sequence=3, type=pb.Envelope.Request)
    envelope.payload.type_url, envelope.payload.value = "x/wasimoff.v1.Task.Cancel", b"\xff"
    await client.ws.send_bytes(envelope.SerializeToString())
    assert (await client.next()).error == "payload does not decode as wasimoff.v1.Task.Cancel"
    assert (await client.run(pb.Ping())).error == ""


@pytest.mark.parametrize("payload", [Wasip1.Response(), pb.Event.ClusterInfo(), pb.Filesystem.Listing.Request()])
async def test_what_nobody_asks_a_broker(w: World, payload: Message):
    error = await refusal(await w.client(), payload)
    assert error == f"invalid_argument: {payload.DESCRIPTOR.full_name} is not something to ask a broker"


@pytest.mark.parametrize("frame", [codec.response(9, pb.Ping()), codec.event(9, pb.Ping()), codec.failure(9, "x")])
async def test_a_clients_responses_and_events_mean_nothing(w: World, frame: bytes):
    client = await w.client()
    await client.send(frame)
    assert (await client.run(pb.Ping())).type == codec.RESPONSE


async def test_a_batch_of_requests_is_answered_one_by_one(w: World):
    client = await w.client()
    await client.ws.send_bytes(codec.batch([codec.request(n, pb.Ping()) for n in range(1024)]))
    assert [(await client.next()).sequence for _ in range(1024)] == list(range(1024))
    assert set(client.frames) == {1}, "a peer that has not shown that it understands batches gets none"


async def test_the_largest_sequence_comes_back(w: World):
    client = await w.client()
    await client.send(codec.request(2**64 - 1, pb.Ping()))
    assert (await client.next()).sequence == 2**64 - 1


# Tasks


FILES = {
    "no params": (Wasip1.Request(), "invalid_argument: the task has no params: give at least params.binary"),
    "no binary": (Wasip1.Request(params=Wasip1.Params()), "invalid_argument: the task has no binary"),
    "neither": (Wasip1.Request(params=Wasip1.Params(binary=pb.File())), "invalid_argument: binary has neither ref nor blob"),
    "empty ref": (task(""), "invalid_argument: binary has neither ref nor blob"),
    "both": (
        Wasip1.Request(params=Wasip1.Params(binary=pb.File(ref="app", blob=WASM))),
        "invalid_argument: binary has both ref and blob: give exactly one",
    ),
    "unknown alias": (task("nothing"), "not_found: Ref not found in storage: binary 'nothing'; upload it first"),
    "unknown digest": (task("sha256:" + "0" * 64), "not_found: Ref not found in storage: binary 'sha256:000"),
    "a name of a megabyte": (task("x" * (1 << 20)), "not_found: Ref not found in storage"),
    "no text": (task("\0\n\U0010ffff"), "not_found: Ref not found in storage"),
    "not wasm": (Wasip1.Request(params=Wasip1.Params(binary=pb.File(blob=b"#!/bin/sh"))), "invalid_argument: "),
    "empty blob": (Wasip1.Request(params=Wasip1.Params(binary=pb.File(blob=b""))), "invalid_argument: "),
    "unknown rootfs": (
        Wasip1.Request(params=Wasip1.Params(binary=pb.File(ref="app"), rootfs=pb.File(ref="tree"))),
        "not_found: Ref not found in storage: rootfs 'tree'",
    ),
    "empty rootfs": (
        Wasip1.Request(params=Wasip1.Params(binary=pb.File(ref="app"), rootfs=pb.File())),
        "invalid_argument: rootfs has neither ref nor blob",
    ),
    "python, no params": (Pyodide.Request(), "invalid_argument: the task has nothing to run"),
    "python, nothing": (Pyodide.Request(params=Pyodide.Params(packages=["x"])), "invalid_argument: the task has nothing"),
}


@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize("name", FILES)
async def test_tasks_that_can_not_be_run(w: World, name: str, json: bool):
    request, error = FILES[name]
    client = await w.client(json=json)
    assert (await refusal(client, request)).startswith(error)
    assert (await client.run(pb.Ping())).error == ""


async def test_an_alias_is_resolved_on_the_way(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    assert (await provider.run())[1].params.binary.ref == w.ref


async def test_inline_files_are_stored_and_referred_to(w: World):
    provider, client = await w.provider(), await w.client()
    wasm, tree = WASM + b"\0\x04\x03own", b"PK\x05\x06" + bytes(18)
    params = Wasip1.Params(binary=pb.File(blob=wasm, media="application/wasm"), rootfs=pb.File(blob=tree))
    await client.request(Wasip1.Request(info=pb.Task.Metadata(id="mine", reference="r"), params=params))
    sequence, request = await provider.run()
    for file, data, media in ((request.params.binary, wasm, "wasm"), (request.params.rootfs, tree, "zip")):
        assert not file.HasField("blob")
        assert file.media == f"application/{media}"
        async with w.http.get(f"{w.broker.url}/api/storage/{file.ref}") as response:
            assert await response.read() == data
    await provider.answer(sequence, output(request))
    response = await client.answer()
    assert (response.info.id, response.info.reference, response.ok.stdout) == ("mine", "r", b"out")


async def test_python_goes_to_those_who_take_it(w: World):
    await w.provider("wasm only", 4, extension=1, runs=["wasip1"])
    client = await w.client()
    await client.request(Pyodide.Request(params=Pyodide.Params(script="print(1)")))
    await until(lambda: w.state.waiting == 1)
    both = await w.provider("both", 1, extension=1)
    sequence, request = await both.asked(Pyodide.Request)
    ok = Pyodide.Output(stdout=b"1\n", version="0.1")
    await both.answer(sequence, Pyodide.Response(info=pb.Task.Metadata(id=request.info.id), ok=ok))
    response = codec.unpack(await client.next())
    assert isinstance(response, Pyodide.Response)
    assert (response.ok, response.info.provider) == (ok, "both")


async def test_upload_and_use(w: World):
    provider, client = await w.provider(), await w.client()
    other = WASM + b"\0\x02\x01x"
    ref = codec.unpack(await client.run(pb.Filesystem.Upload.Request(upload=pb.File(blob=other, ref="other")))).ref
    assert ref == w.broker.blobs.resolve("other") != w.ref
    await client.request(task("other"))
    assert (await provider.run())[1].params.binary.ref == ref
    assert "upload.blob" in await refusal(await w.client(), pb.Filesystem.Upload.Request())
    assert "invalid_argument" in await refusal(await w.client(), pb.Filesystem.Upload.Request(upload=pb.File(blob=b"x")))


async def test_many_tasks_at_once_come_back_to_those_who_asked(w: World):
    w.serve(await w.provider(slots=8), b"")
    clients = [await w.client() for _ in range(4)]
    for number in range(50):
        for index, client in enumerate(clients):
            await client.request(task("app", f"{index}:{number}", id=f"{number}"))
    for index, client in enumerate(clients):
        answers = [await client.answer() for _ in range(50)]
        assert sorted(a.ok.stdout for a in answers) == sorted(f"{index}:{n}".encode() for n in range(50))
        assert all(a.ok.stdout.endswith(f":{a.info.id}".encode()) for a in answers)


# What the answer carries


async def test_the_answer_carries_who_ran_it_and_the_clients_own_id(w: World):
    provider, client = await w.provider("who"), await w.client()
    for asked, id in (("mine", "mine"), ("", None)):
        await client.request(task("app", id=asked))
        sequence, request = await provider.run()
        assert request.info.id
        assert request.info.id != "mine", "ids of clients are not unique: providers see ours"
        assert request.info.attempt == 1
        await provider.answer(sequence, output(request))
        info = (await client.answer()).info
        assert info == pb.Task.Metadata(id=id or request.info.id, provider="who", attempt=1)


async def test_what_a_provider_claims_about_itself_is_not_passed_on(w: World):
    provider, client = await w.provider("honest"), await w.client()
    await client.request(task("app", id="mine"))
    sequence, request = await provider.run()
    trace = pb.Task.Trace(created=1, events=[pb.Task.TraceEvent(unixnano=1, event=21)])
    forged = output(request)
    forged.info.MergeFrom(pb.Task.Metadata(provider="admin", requester="root", reference="x", trace=trace, attempt=9))
    await provider.answer(sequence, forged)
    assert (await client.answer()).info == pb.Task.Metadata(id="mine", provider="honest", attempt=1)


async def test_reference_and_requester_come_back(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app", info=pb.Task.Metadata(requester="me", reference="row 5")))
    sequence, request = await provider.run()
    await provider.answer(sequence, output(request))
    info = (await client.answer()).info
    assert (info.requester, info.reference) == ("me", "row 5")


Event = pb.Task.TraceEvent
BROKERS = [21, 22, 23, 24, 25, 26]


async def test_with_a_trace_every_step_is_told(w: World):
    provider, client = await w.provider("who"), await w.client()
    began = time.time_ns()
    mine = [Event(unixnano=began, event=Event.ClientTransmitRequest)]
    await client.request(task("app", info=pb.Task.Metadata(id="t", trace=pb.Task.Trace(created=began, events=mine))))
    sequence, request = await provider.run()
    assert [e.event for e in request.info.trace.events] == [11, 21, 22, 23, 24]
    theirs = [Event(unixnano=time.time_ns(), event=number) for number in range(31, 38)]
    forged = [Event(unixnano=1, event=number) for number in (10, 21, 26)]
    answer = output(request)
    answer.info.trace.CopyFrom(pb.Task.Trace(created=5, duration=7, events=[*request.info.trace.events, *theirs, *forged]))
    await provider.answer(sequence, answer)
    trace = (await client.answer()).info.trace
    assert [e.event for e in trace.events] == [11, 21, 22, 23, 24, *range(31, 38), 25, 26]
    assert all(e.HasField("unixnano") and e.HasField("event") for e in trace.events)
    times = [e.unixnano for e in trace.events]
    assert times == sorted(times)
    assert began <= times[1] <= times[-1] <= time.time_ns()
    assert (trace.created, trace.duration) == (began, times[-1] - began)


async def test_without_a_trace_there_is_none(w: World):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app"))
    sequence, request = await provider.run()
    assert not request.info.HasField("trace")
    await provider.answer(sequence, output(request))
    assert not (await client.answer()).info.HasField("trace")


@pytest.mark.parametrize("created", [-(2**63), 2**63 - 1, 0])
async def test_a_trace_may_have_been_created_at_any_time(w: World, created: int):
    provider, client = await w.provider(), await w.client()
    await client.request(task("app", info=pb.Task.Metadata(trace=pb.Task.Trace(created=created))))
    sequence, request = await provider.run()
    flood = output(request)
    flood.info.trace.events.extend([Event(event=Event.ProviderWorkerDone, details="x" * 1000)] * 5000)
    await provider.answer(sequence, flood)
    trace = (await client.answer()).info.trace
    assert [e.event for e in trace.events if e.event < 30] == BROKERS
    assert len(trace.events) == 6 + 64
    assert all(len(e.details) <= 200 for e in trace.events)


# Cancelled


async def test_cancel_by_id_reaches_the_provider_and_frees_the_slot_with_its_answer(w: World):
    provider, client = await w.provider(), await w.client()
    sent = await client.request(task("app", id="mine"))
    sequence, request = await provider.run()
    asked = await client.request(pb.Task.Cancel(id="mine", reason="enough"))
    found = {envelope.sequence: envelope for envelope in [await client.next(), await client.next()]}
    assert found[sent].error == "canceled: enough"
    assert codec.unpack(found[asked]) == pb.Task.Cancel(id="mine", reason="enough")
    asked, cancel = await provider.cancel()
    assert (cancel.id, cancel.reason) == (request.info.id, "enough")
    await client.request(task("app"))
    await until(lambda: w.state.waiting == 1)
    await provider.answer(asked, cancel)
    await asyncio.sleep(0.02)
    assert w.state.waiting == 1, "the slot is free when the run is answered, not when the cancel is"
    await provider.send(codec.failure(sequence, "cancelled"))
    await provider.run()


@pytest.mark.parametrize("phase", ["waiting", "gone", "someone else's"])
async def test_cancel_of_a_task_that_does_not_run(w: World, phase: str):
    client, other = await w.client(), await w.client()
    sent = await (other if phase == "someone else's" else client).request(task("app", id="mine"))
    if phase == "gone":
        provider = await w.provider()
        sequence, request = await provider.run()
        await provider.answer(sequence, output(request))
        await client.answer()
    else:
        await until(lambda: w.state.waiting == 1)
    asked = await client.request(pb.Task.Cancel(id="mine"))
    answers = [await client.next() for _ in range(2 if phase == "waiting" else 1)]
    assert answers[-1].sequence == asked
    assert codec.unpack(answers[-1]).id == "mine"
    if phase == "waiting":
        assert (answers[0].sequence, answers[0].error) == (sent, "canceled: cancelled by the client")
    assert w.state.waiting == (phase == "someone else's")


async def test_cancel_of_a_task_whose_files_are_being_stored(w: World, monkeypatch: pytest.MonkeyPatch):
    await w.provider()
    client = await w.client()
    gate = asyncio.Event()
    put = w.broker.blobs.put

    async def slow(*arguments: Any) -> Any:
        await gate.wait()
        return await put(*arguments)

    monkeypatch.setattr(w.broker.blobs, "put", slow)
    params = Wasip1.Params(binary=pb.File(blob=WASM))
    sent = await client.request(Wasip1.Request(info=pb.Task.Metadata(id="mine"), params=params))
    asked = await client.request(pb.Task.Cancel(id="mine", reason="enough"))
    found = {envelope.sequence: envelope for envelope in [await client.next(), await client.next()]}
    assert found[sent].error == "canceled: enough"
    assert codec.unpack(found[asked]).id == "mine"
    gate.set()
    await asyncio.sleep(0.05)
    assert not w.state.running
    assert not w.broker.dispatcher.state.done


async def test_a_fault_of_the_broker_is_told(w: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    client = await w.client()
    monkeypatch.delattr(type(w.broker.blobs), "put")
    error = await refusal(client, pb.Filesystem.Upload.Request(upload=pb.File(blob=WASM)))
    assert error == "internal: something went wrong in the broker; its log says what"
    assert [record.exc_info for record in caplog.records if record.exc_info]
    assert (await client.run(pb.Ping())).type == codec.RESPONSE


async def test_cancel_of_a_job(w: World):
    provider, client = await w.provider(), await w.client()
    job = Wasip1.JobRequest(parent=Wasip1.Params(binary=pb.File(ref="app")), tasks=[Wasip1.Params()] * 3)
    job.info.id = "all of it"
    sent = await client.request(job)
    _, request = await provider.run()
    await until(lambda: w.state.waiting == 2)
    await client.request(pb.Task.Cancel(id="all of it"))
    found = {envelope.sequence: envelope for envelope in [await client.next(), await client.next()]}
    assert found[sent].error == "canceled: cancelled by the client"
    assert (await provider.cancel())[1].id == request.info.id
    assert not w.state.waiting


@pytest.mark.parametrize("how", ["close", "lose"])
async def test_a_client_that_goes_away_takes_its_tasks_with_it(w: World, how: str):
    provider = await w.provider(slots=2)
    client, stays = await w.client(), await w.client()
    for sender in (client, stays):
        await sender.request(task("app"))
    runs = dict([await provider.run(), await provider.run()])
    for sender in (client, stays):
        await sender.request(task("app"))
    await until(lambda: w.state.waiting == 2)
    await (client.ws.close() if how == "close" else client.lose())
    asked, cancel = await provider.cancel()
    assert cancel.reason == "the client went away"
    await until(lambda: w.state.waiting == 1)
    await provider.answer(asked, cancel)
    for sequence, request in runs.items():
        await provider.answer(sequence, output(request))
    sequence, request = await provider.run()
    await provider.answer(sequence, output(request))
    for _ in range(2):
        assert (await stays.answer()).ok.stdout == b"out"
    await until(lambda: not w.state.running and not w.state.waiting)


# Quality of service


def by(seconds: float) -> pb.Task.QoS:
    when = Timestamp()
    when.FromNanoseconds(time.time_ns() + int(seconds * 1e9))
    return pb.Task.QoS(deadline=when)


async def test_a_deadline_ends_a_run_and_cancels_it(w: World):
    provider, client = await w.provider(), await w.client()
    sent = await client.request(task("app", qos=by(0.1)))
    sequence, request = await provider.run()
    envelope = await client.next()
    assert (envelope.sequence, envelope.error) == (sent, "deadline_exceeded: the deadline passed while the task was running")
    asked, cancel = await provider.cancel()
    assert (cancel.id, cancel.reason) == (request.info.id, "deadline exceeded")
    late = asyncio.ensure_future(client.next())
    await provider.answer(asked, cancel)
    await provider.answer(sequence, output(request))
    await until(lambda: w.state.roster.idle)
    assert not late.done(), "a late answer goes nowhere"
    late.cancel()


async def test_a_deadline_ends_a_wait_and_says_what_was_waited_for(w: World):
    error = await refusal(await w.client(), task("app", qos=by(0.5)))
    assert error.startswith("deadline_exceeded: the deadline passed while the task was queued")
    assert "no provider is connected" in error
    assert not w.state.waiting


@pytest.mark.parametrize("seconds", [-1.0, -1e9])
async def test_a_deadline_that_has_passed(w: World, seconds: float):
    await w.provider()
    assert (await refusal(await w.client(), task("app", qos=by(seconds)))).startswith("deadline_exceeded")


@pytest.mark.parametrize(("seconds", "nanos"), [(2**63 - 1, 0), (2**62, 2**31 - 1), (-(2**63), 0), (0, -(2**31))])
async def test_a_deadline_at_the_end_of_time(w: World, seconds: int, nanos: int):
    provider, client = await w.provider(), await w.client()
    qos = pb.Task.QoS(deadline=Timestamp(seconds=seconds, nanos=nanos))
    await client.request(task("app", qos=qos))
    if seconds > 0:
        sequence, request = await provider.run()
        await provider.answer(sequence, output(request))
        assert (await client.answer()).ok.stdout == b"out"
    else:
        assert (await client.next()).error.startswith("deadline_exceeded")


async def test_immediate_is_now_or_never(w: World):
    client = await w.client()
    now = pb.Task.QoS(immediate=True)
    error = await refusal(client, task("app", qos=now))
    assert error.startswith("unavailable: no slot is free now, and the task asked not to wait (no provider is connected")
    provider = await w.provider()
    sent = await client.request(task("app", qos=now))
    sequence, request = await provider.run()
    assert (await refusal(client, task("app", qos=now))).startswith("unavailable")
    await provider.answer(sequence, output(request))
    assert (await client.next()).sequence == sent


async def test_priority_goes_first(w: World):
    client = await w.client()
    for name in ("plain", "urgent"):
        await client.request(task("app", name, qos=pb.Task.QoS(priority=name == "urgent")))
    await until(lambda: w.state.waiting == 2)
    provider = await w.provider()
    assert list((await provider.run())[1].params.args) == ["urgent"]


async def test_a_full_queue_says_so():
    async with world(queue_limit=2) as w:
        client = await w.client()
        for _ in range(2):
            await client.request(task("app"))
        await until(lambda: w.state.waiting == 2)
        assert (await refusal(client, task("app"))).startswith("resource_exhausted: 2 tasks wait already")


async def test_bytes_that_wait_have_a_limit():
    async with world(queue_bytes=1 << 16) as w:
        client = await w.client()
        big = task("app")
        big.params.stdin = bytes(40_000)
        await client.request(big)
        await until(lambda: w.state.waiting == 1)
        error = await refusal(client, big)
        assert error.startswith("resource_exhausted: waiting tasks hold")
        await client.ws.close()
        await until(lambda: not w.state.held_bytes)


async def test_a_connection_has_so_many_uploads_and_jobs_under_way(w: World):
    client = await w.client()
    job = Wasip1.JobRequest(parent=Wasip1.Params(binary=pb.File(ref="app")), tasks=[Wasip1.Params()])
    for _ in range(64):
        await client.request(job)
    await until(lambda: w.state.waiting == 64)
    assert (await refusal(client, job)).startswith("resource_exhausted: 64 uploads and jobs of this connection are under way")
    await client.ws.close()
    await until(lambda: not w.state.waiting)
