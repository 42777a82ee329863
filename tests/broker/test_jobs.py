"""Jobs: many tasks in one request, over every door; what one task does wrong is that task's alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given

from broker import jobs
from broker.jobs import merge
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import METHODS, WASM, World, output, task, until, world
from tests.wire.values import filled

Wasip1 = pb.Task.Wasip1
Params = Wasip1.Params
APP = Params(binary=pb.File(ref="app"))


def job(*tasks: Params, parent: Params = APP, **fields: Any) -> Wasip1.JobRequest:
    return Wasip1.JobRequest(parent=parent, tasks=tasks, **fields)


def numbered(count: int) -> list[Params]:
    return [Params(args=[f"{n}"]) for n in range(count)]


async def run(w: World, request: Wasip1.JobRequest) -> Wasip1.JobResponse:
    status, body = await w.post("RunWasip1Job", request)
    assert status == 200, body
    return Wasip1.JobResponse.FromString(body)


def outputs(response: Wasip1.JobResponse) -> list[str]:
    return [r.error or r.ok.stdout.decode() for r in response.tasks]


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def test_results_come_in_order(w: World):
    provider = await w.provider("who", 4)
    asked = asyncio.create_task(run(w, job(*numbered(4), info=pb.Task.Metadata(id="mine", reference="r"))))
    runs = [await provider.run() for _ in range(4)]
    for sequence, request in reversed(runs):
        await provider.answer(sequence, output(request, request.params.args[0].encode()))
    response = await asked
    assert outputs(response) == ["0", "1", "2", "3"]
    assert response.info == pb.Task.Metadata(id="mine", reference="r")
    assert {r.info.provider for r in response.tasks} == {"who"}
    assert [r.info.id for r in response.tasks] == [request.info.id for _, request in runs]


async def test_over_a_websocket_and_in_json(w: World):
    w.serve(await w.provider(slots=2), b"")
    client = await w.client(json=True)
    assert outputs(codec.unpack(await client.run(job(*numbered(5))))) == list("01234")
    said = {"parent": {"binary": {"ref": "app"}}, "tasks": [{"args": ["a"]}, {"args": ["b"]}]}
    async with w.http.post(w.broker.url + METHODS + "RunWasip1Job", json=said) as response:
        assert [t["ok"]["stdout"] for t in (await response.json())["tasks"]] == ["YQ==", "Yg=="]


async def test_no_tasks_at_all(w: World):
    assert not (await run(w, job())).tasks


async def test_a_job_is_larger_than_its_window_and_than_the_slots(w: World):
    w.serve(await w.provider(slots=8, extension=1), b"")
    count = 2 * jobs.WINDOW + 7
    assert outputs(await run(w, job(*numbered(count)))) == [f"{n}" for n in range(count)]


async def test_only_a_window_waits_at_a_time(w: World):
    client = await w.client()
    await client.request(job(*numbered(jobs.WINDOW + 100)))
    await until(lambda: w.state.waiting == jobs.WINDOW)
    await asyncio.sleep(0.02)
    assert w.state.waiting == jobs.WINDOW


# What a task leaves out


PARENT = Params(
    binary=pb.File(ref="app"), args=["app", "x"], envs=["A=1"], stdin=b"in", rootfs=pb.File(ref="tree"), artifacts=["out"]
)


async def test_what_a_task_leaves_out_is_its_parents(w: World):
    tree = (await w.broker.blobs.put(b"PK\x05\x06" + bytes(18), None, "tree")).ref
    other = (await w.broker.blobs.put(WASM + b"\0\x02\x01x", None, "other")).ref
    provider = await w.provider(slots=8)
    own = Params(binary=pb.File(ref="other"), args=["own"], envs=["B=2"], stdin=b"mine", artifacts=["a", "b"])
    asked = asyncio.create_task(run(w, job(Params(), own, Params(args=["y"], stdin=b""), parent=PARENT)))
    found = [(await provider.run()) for _ in range(3)]
    first, second, third = [request.params for _, request in found]
    assert (first.binary.ref, first.rootfs.ref) == (w.ref, tree)
    assert (list(first.args), list(first.envs), first.stdin, list(first.artifacts)) == (["app", "x"], ["A=1"], b"in", ["out"])
    assert (second.binary.ref, second.rootfs.ref) == (other, tree)
    assert (list(second.args), list(second.envs)) == (["own"], ["B=2"])
    assert (second.stdin, list(second.artifacts)) == (b"mine", ["a", "b"])
    assert (list(third.args), third.stdin, third.HasField("stdin")) == (["y"], b"", True), "an empty stdin is one that is given"
    for sequence, request in found:
        await provider.answer(sequence, output(request))
    assert outputs(await asked) == ["out"] * 3


@given(filled(Params.DESCRIPTOR, own=True), filled(Params.DESCRIPTOR, own=True))
def test_merging_field_by_field(parent: Params, child: Params):
    before = parent.SerializeToString(), child.SerializeToString()
    merged = merge(parent, child)
    assert (parent.SerializeToString(), child.SerializeToString()) == before
    for field in Params.DESCRIPTOR.fields:
        given_ = getattr(child, field.name) if field.is_repeated else child.HasField(field.name)
        source = child if given_ else parent
        assert getattr(merged, field.name) == getattr(source, field.name)
        if not field.is_repeated:
            assert merged.HasField(field.name) == (child.HasField(field.name) or parent.HasField(field.name))


async def test_inline_files_of_the_parent_are_stored_once(w: World, monkeypatch: pytest.MonkeyPatch):
    w.serve(await w.provider(slots=4), b"")
    put, stored = w.broker.blobs.put, []

    async def counted(data: bytes, *rest: Any) -> Any:
        stored.append(data)
        return await put(data, *rest)

    monkeypatch.setattr(w.broker.blobs, "put", counted)
    wasm, tree, own = WASM + b"\0\x02\x01x", b"PK\x05\x06" + bytes(18), WASM + b"\0\x02\x01y"
    parent = Params(binary=pb.File(blob=wasm), rootfs=pb.File(blob=tree))
    response = await run(w, job(*numbered(20), Params(args=["own"], binary=pb.File(blob=own)), parent=parent))
    assert outputs(response) == [*map(str, range(20)), "own"]
    assert stored == [wasm, tree, own]


# One bad task


BAD: dict[str, tuple[Params, str]] = {
    "unknown ref": (Params(binary=pb.File(ref="nothing")), "not_found: Ref not found in storage: binary 'nothing'"),
    "neither": (Params(binary=pb.File()), "invalid_argument: binary has neither ref nor blob"),
    "both": (Params(binary=pb.File(ref="app", blob=WASM)), "invalid_argument: a File has both ref and blob"),
    "not wasm": (Params(binary=pb.File(blob=b"#!")), "invalid_argument: "),
    "too large": (Params(binary=pb.File(blob=WASM + bytes(1 << 19))), "resource_exhausted: "),
    "unknown rootfs": (Params(rootfs=pb.File(ref="nothing")), "not_found: Ref not found in storage: rootfs 'nothing'"),
}


@pytest.mark.parametrize("name", BAD)
async def test_one_bad_task_does_not_spoil_the_others(name: str):
    bad, error = BAD[name]
    async with world(max_upload=1 << 19) as w:
        w.serve(await w.provider(slots=2), b"")
        found = outputs(await run(w, job(Params(args=["a"]), bad, Params(args=["b"]))))
        assert (found[0], found[2]) == ("a", "b")
        assert found[1].startswith(error)


async def test_a_task_that_fails_or_is_lost_has_its_reason_as_its_error():
    async with world(max_refusals=1) as w:
        provider = await w.provider(slots=3)
        asked = asyncio.create_task(run(w, job(*numbered(3))))
        runs = [await provider.run() for _ in range(3)]
        await provider.answer(runs[0][0], Wasip1.Response(error="trapped"))
        await provider.send(codec.failure(runs[1][0], "no memory"))
        await provider.answer(runs[2][0], output(runs[2][1]))
        assert outputs(await asked) == [
            "trapped",
            "unavailable: lost after 1 attempts: attempt 1 at p: no memory",
            "out",
        ]


async def test_a_bad_parent_is_every_tasks_error(w: World):
    found = outputs(await run(w, job(*numbered(2), parent=Params())))
    assert found == ["invalid_argument: the task has no binary: give params.binary.ref or params.binary.blob"] * 2


async def test_a_parent_whose_files_can_not_be_kept_refuses_the_job(w: World):
    status, body = await w.post("RunWasip1Job", job(*numbered(2), parent=Params(binary=pb.File(blob=b"#!"))))
    assert status == 400, body


# Limits


async def test_a_job_larger_than_the_queue_goes_on_as_its_own_tasks_make_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("broker.jobs.RETRY_SECONDS", 3600.0)
    async with world(queue_limit=5) as w:
        w.serve(await w.provider(slots=2), b"")
        assert outputs(await run(w, job(*numbered(100)))) == [f"{n}" for n in range(100)]


async def test_a_job_waits_for_room_that_others_take(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "RETRY_SECONDS", 0.05)
    async with world(queue_limit=2) as w:
        client = await w.client()
        for _ in range(2):
            await client.request(task("app", "other"))
        await until(lambda: w.state.waiting == 2)
        asked = asyncio.create_task(run(w, job(*numbered(3))))
        await asyncio.sleep(0.12)
        assert not asked.done()
        await client.ws.close()
        await until(lambda: w.state.waiting == 2)
        w.serve(await w.provider(), b"")
        assert outputs(await asked) == ["0", "1", "2"]


async def test_a_task_that_never_fits_is_refused_at_once():
    async with world(queue_bytes=1 << 16) as w:
        w.serve(await w.provider(), b"")
        found = outputs(await asyncio.wait_for(run(w, job(Params(args=["a"]), Params(stdin=bytes(1 << 17)))), 3))
        assert found[0] == "a"
        assert found[1].startswith("resource_exhausted: ")
        big = task("app")
        big.params.stdin = bytes(1 << 17)
        async with w.http.post(
            w.broker.url + METHODS + "RunWasip1", data=big.SerializeToString(), headers={"Content-Type": "application/proto"}
        ) as response:
            assert response.status == 429
            assert "Retry-After" not in response.headers, "coming again is no use"


async def test_more_tasks_than_are_taken():
    async with world(max_job=10) as w:
        w.serve(await w.provider(slots=8), b"")
        assert len((await run(w, job(*numbered(10)))).tasks) == 10
        status, body = await w.post("RunWasip1Job", job(*numbered(11)))
        assert status == 400
        assert b"11 tasks in one job, at most 10 are taken" in body


async def test_results_have_a_limit_together(w: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "MAX_RESULTS", 10_000)
    w.serve(await w.provider(), bytes(3000))
    response = await run(w, job(*numbered(5)))
    assert [len(r.ok.stdout) for r in response.tasks] == [3000] * 3 + [0] * 2
    for result in response.tasks[3:]:
        assert result.error.startswith("the job's results exceed 10000 bytes together")
        assert result.info.provider == "p"


# The end


@pytest.mark.parametrize("door", ["ws", "http"])
async def test_a_client_that_goes_away_cancels_all(w: World, door: str):
    provider = await w.provider(slots=2)
    if door == "ws":
        client = await w.client()
        await client.request(job(*numbered(10)))
    else:
        asked = asyncio.create_task(run(w, job(*numbered(10))))
    running = {(await provider.run())[1].info.id for _ in range(2)}
    if door == "ws":
        await client.ws.close()
    else:
        asked.cancel()
    assert {(await provider.cancel())[1].id for _ in range(2)} == running
    assert not w.state.waiting
    assert not w.state.running


async def test_a_deadline_is_for_all_tasks(w: World):
    w.serve(await w.provider("fast", 1), b"")
    when = Timestamp()
    when.FromNanoseconds(time.time_ns() + 3 * 10**9)
    assert outputs(await run(w, job(*numbered(3), qos=pb.Task.QoS(deadline=when)))) == ["0", "1", "2"]
    await asyncio.sleep(max(when.ToNanoseconds() / 1e9 - time.time(), 0) + 0.01)
    found = outputs(await run(w, job(*numbered(3), qos=pb.Task.QoS(deadline=when))))
    assert all(text.startswith("deadline_exceeded: ") for text in found)


async def test_a_lost_provider_loses_no_task_of_a_job(w: World):
    lost = await w.provider("lost", 4)
    asked = asyncio.create_task(run(w, job(*numbered(20))))
    for _ in range(4):
        await lost.run()
    await lost.lose()
    w.serve(await w.provider("other", 4), b"")
    response = await asked
    assert outputs(response) == [f"{n}" for n in range(20)]
    assert sorted(r.info.attempt for r in response.tasks) == [1] * 16 + [2] * 4


async def test_jobs_may_hold_so_many_bytes_together():
    async with world(queue_bytes=1 << 20) as w:
        client, other = await w.client(), await w.client()
        large = job(Params(args=["1"]), parent=Params(binary=pb.File(ref="app"), stdin=bytes(700_000)))
        await client.request(large)
        await until(lambda: w.state.waiting)
        assert (await other.run(large)).error.startswith("resource_exhausted: jobs under way hold 700")
        status, body = await w.post("RunWasip1Job", large)
        assert (status, b"jobs under way hold 700" in body) == (429, True)
        provider = await w.provider()
        w.serve(provider)
        await client.next()
        assert outputs(await run(w, large)) == ["out"]


async def test_a_job_that_finds_no_room_puts_no_task_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "RETRY_SECONDS", 0.02)
    merged: list[Params] = []
    monkeypatch.setattr(jobs, "merge", lambda parent, task: merged.append(task) or merge(parent, task))
    async with world(queue_limit=1) as w:
        client, other = await w.client(), await w.client()
        await other.request(task("app"))
        await until(lambda: w.state.waiting)
        await client.request(job(*numbered(3)))
        await asyncio.sleep(0.3)
        assert merged == []
        late = Timestamp()
        late.FromMilliseconds(int(time.time() * 1000) + 1000)
        response = await run(w, job(*numbered(2), qos=pb.Task.QoS(deadline=late)))
        assert [r.error.partition(":")[0] for r in response.tasks] == ["deadline_exceeded"] * 2
        provider = await w.provider()
        w.serve(provider)
        answers = [await client.next(), await other.next()]
        assert all(answer.payload.value for answer in answers)
        assert 3 + 2 <= len(merged) < 10
