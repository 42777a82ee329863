"""Standard input by reference, for providers that don't know of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from broker.core.note import note
from broker.core.task import Run as CoreRun
from broker.errors import Refused
from pyodide_provider.wire import messages_pb2 as pb

from .running import Run, World, output, task, until, world

OWN = {"extension": 1, "runs": ["wasip1"]}
MIB = 1 << 20


@pytest_asyncio.fixture(params=["memory", "disk"])
async def w(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    where = {"filestorage": tmp_path} if request.param == "disk" else {}
    async with world(max_message=4 * MIB, **where) as found:
        yield found


async def given(w: World, stdin: bytes) -> Run:
    request = task("app", "--flag")
    request.info.requester = "me"
    request.params.stdin_file.ref = (await w.broker.blobs.put(stdin, anything=True)).ref
    return request


@pytest.mark.parametrize("json", [False, True])
async def test_a_foreign_provider_gets_it_in_the_request(w: World, json: bool):
    stdin = os.urandom(3 * MIB)
    provider, client = await w.provider("foreign", json=json), await w.client()
    await client.request(await given(w, stdin))
    sequence, run = await provider.run()
    assert run.params.stdin == stdin
    assert not run.params.HasField("stdin_file")
    assert (run.params.binary.ref, list(run.params.args)) == (w.ref, ["--flag"])
    await provider.answer(sequence, output(run))
    assert (await client.answer()).ok.stdout == b"out"


async def test_one_of_our_own_gets_the_ref_also_after_a_foreign_one_was_lost(w: World):
    foreign, client = await w.provider("foreign"), await w.client()
    request = await given(w, b"text")
    await client.request(request)
    await foreign.run()
    await foreign.lose()
    ours = await w.provider("ours", **OWN)
    _, run = await ours.run()
    assert run.params.stdin_file.ref == request.params.stdin_file.ref
    assert not run.params.HasField("stdin")


async def test_what_fits_into_no_message_waits_for_one_of_our_own_and_it_is_said(w: World):
    await w.provider("foreign")
    client = await w.client()
    await client.request(await given(w, bytes(4 * MIB)))
    await until(lambda: w.state.waiting)
    assert "1 tasks wait for a provider that offers own (" in note(w.state)
    ours = await w.provider("ours", **OWN)
    assert (await ours.run())[1].params.HasField("stdin_file")


async def test_a_task_that_is_cancelled_before_it_was_sent_is_not_sent(w: World):
    provider, client = await w.provider("foreign"), await w.client()
    inlining = w.broker.dispatcher._inlining
    for _ in range(2):
        await inlining._turn.acquire()
    request = await given(w, b"text")
    request.info.id = "mine"
    await client.request(request)
    await until(lambda: w.state.running)
    await client.request(pb.Task.Cancel(id="mine"))
    await until(lambda: not w.state.running)
    assert w.state.providers[1].runs, "its slot is not free as long as it may be sent"
    for _ in range(2):
        inlining._turn.release()
    await until(lambda: not w.state.providers[1].runs)
    assert w.state.providers[1].failed == 0
    await client.request(task("app", "next"))
    _, run = await provider.run()
    assert list(run.params.args) == ["next"]


async def test_a_provider_that_goes_meanwhile(w: World):
    provider, client = await w.provider("foreign"), await w.client()
    inlining = w.broker.dispatcher._inlining
    for _ in range(2):
        await inlining._turn.acquire()
    await client.request(await given(w, b"text"))
    await until(lambda: w.state.running)
    await provider.lose()
    await until(lambda: not w.state.providers)
    for _ in range(2):
        inlining._turn.release()
    await until(lambda: not w.broker.dispatcher._packing)
    assert w.state.strays == 0
    assert (await (await w.provider("another")).run())[1].params.stdin == b"text"


async def test_stdin_that_is_gone_is_told_in_words(w: World):
    request = await given(w, b"text")
    request.params.stdin_file.ref = "sha256:" + "0" * 64
    provider = await w.provider("foreign")
    await (await w.client()).request(task("app"))
    await provider.run()
    (run,) = w.state.providers[1].runs.values()
    assert isinstance(run, CoreRun)
    run.task.payload = request
    with pytest.raises(Refused, match="its stdin is no longer in storage"):
        await w.broker.dispatcher._inlining.envelope(run)


async def test_many_at_once(w: World):
    provider, client = await w.provider("foreign", slots=20), await w.client()
    stdin = os.urandom(MIB)
    for _ in range(20):
        await client.request(await given(w, stdin))
    async with asyncio.timeout(30):
        for _ in range(20):
            assert (await provider.run())[1].params.stdin == stdin
