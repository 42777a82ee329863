"""The run route while a task runs: events and bytes as they come, all of it in the end; clients that go or don't read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse

from broker import streaming
from broker.core.events import DrainStarted
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.doors import connected
from tests.broker.running import Provider, World, output, until, world

EVENTS = {"Accept": "text/event-stream"}
OWN = {"extension": 1, "runs": ["wasip1"]}


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        yield found
        for response in OPENED:
            response.close()
        OPENED.clear()


OPENED: list[ClientResponse] = []


async def post(w: World, path: str = "app", **how: Any) -> ClientResponse:
    response = await w.http.post(f"{w.broker.url}/api/client/run/{path}", **how)
    OPENED.append(response)
    return response


async def writes(provider: Provider, sequence: int, stdout: bytes = b"", stderr: bytes = b"") -> None:
    await provider.send(codec.event(1, pb.Event.TaskOutput(request=sequence, stdout=stdout, stderr=stderr)))


async def event(response: ClientResponse) -> tuple[str, object]:
    """The next one, after comments."""
    while True:
        text = (await asyncio.wait_for(response.content.readuntil(b"\n\n"), 60)).decode()
        if not text.startswith(":"):
            name, data = text.strip().split("\n")
            return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_events_come_while_the_task_runs(w: World):
    provider = await w.provider("tab", **OWN)
    async with asyncio.TaskGroup() as group:
        posted = group.create_task(post(w, "app", headers=EVENTS))
        sequence, run = await provider.run()
        assert run.qos.follow
        await writes(provider, sequence, "grün ".encode()[:3])
        response = await posted
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert await event(response) == ("stdout", "gr")
        await writes(provider, sequence, "grün ".encode()[3:], b"oh\xff")
        assert await event(response) == ("stdout", "ün ")
        assert await event(response) == ("stderr", "oh\ufffd")
        answer = output(run, "grün ".encode() + b"more", stderr=b"oh\xff")
        answer.ok.status = 3
        answer.usage.cpu_us = 5
        await provider.answer(sequence, answer)
        assert await event(response) == ("stdout", "more")
        assert await event(response) == ("end", {"provider": "tab", "status": 3, "usage": {"cpu_us": 5}})
        assert await response.read() == b""


async def test_a_provider_that_tells_nothing_is_told_at_the_end(w: World):
    provider = await w.provider("foreign")
    async with asyncio.TaskGroup() as group:
        posted = group.create_task(post(w, "app", headers=EVENTS))
        sequence, run = await provider.run()
        await provider.answer(sequence, output(run, b"out", stderr=b"err"))
        response = await posted
    assert await event(response) == ("stdout", "out")
    assert await event(response) == ("stderr", "err")
    assert (await event(response))[0] == "end"


async def test_an_error_is_the_end(w: World):
    provider = await w.provider("tab", **OWN)
    async with asyncio.TaskGroup() as group:
        posted = group.create_task(post(w, "app", headers=EVENTS))
        sequence, run = await provider.run()
        await writes(provider, sequence, b"half")
        await provider.answer(sequence, pb.Task.Wasip1.Response(info=run.info, error="unreachable"))
        response = await posted
    assert await event(response) == ("stdout", "half")
    assert await event(response) == ("end", {"provider": "tab", "error": "unreachable"})


@pytest.mark.parametrize("query", ["?follow", "?follow=yes"])
async def test_plain_bytes_as_they_come(w: World, query: str):
    provider = await w.provider(**OWN)
    async with asyncio.TaskGroup() as group:
        posted = group.create_task(post(w, f"app{query}"))
        sequence, run = await provider.run()
        await writes(provider, sequence, b"\xff\0")
        response = await posted
        assert await asyncio.wait_for(response.content.readexactly(2), 60) == b"\xff\0"
        assert (response.headers["Transfer-Encoding"], response.content_type) == ("chunked", "application/octet-stream")
        await writes(provider, sequence, b"", b"e")
        assert await asyncio.wait_for(response.content.readexactly(1), 60) == b"e"
        await provider.answer(sequence, output(run, b"\xff\0" + bytes(1_000_000), stderr=b"e"))
        assert await response.read() == bytes(1_000_000)


async def test_without_asking_the_answer_is_as_ever(w: World):
    provider = await w.provider(**OWN)
    async with asyncio.TaskGroup() as group:
        posted = group.create_task(post(w, "app?follow=no", headers={"Accept": "*/*"}))
        sequence, run = await provider.run()
        assert not run.qos.follow
        await provider.answer(sequence, output(run))
        response = await posted
    assert (response.headers["X-Wasimoff-Status"], await response.read()) == ("0", b"out")


@pytest.mark.parametrize("how", [{"headers": EVENTS}, {"params": {"follow": ""}}])
async def test_what_is_refused_at_once_has_its_own_status(w: World, how: dict[str, dict[str, str]]):
    response = await post(w, "unknown", **how)
    assert (response.status, response.content_type) == (404, "text/plain")


async def test_what_is_refused_later_is_the_end_of_events_and_breaks_plain_bytes(w: World):
    events = await post(w, "app", headers=EVENTS)
    plain = await post(w, "app?follow")
    assert (events.status, plain.status, w.state.waiting) == (200, 200, 2)
    w.broker.dispatcher.handle(DrainStarted())
    name, said = await event(events)
    assert name == "end"
    assert isinstance(said, dict)
    assert (said["code"], "shutting down" in said["error"]) == ("unavailable", True)
    with pytest.raises(ClientPayloadError):
        await plain.read()


async def test_a_client_that_goes_takes_its_task_with_it(w: World):
    provider = await w.provider(**OWN)
    async with connected(w.broker.url) as (_, writer):
        writer.write(b"POST /api/client/run/app HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: 0\r\n\r\n")
        await provider.run()
    await provider.cancel()
    await until(lambda: not w.state.running)


async def test_a_client_that_does_not_read_costs_bounded_memory_and_gets_all_of_it_in_the_end(
    w: World, monkeypatch: pytest.MonkeyPatch
):
    pipes: list[streaming._Pipe] = []
    init = streaming._Pipe.__init__

    def remembered(pipe: streaming._Pipe) -> None:
        init(pipe)
        pipes.append(pipe)

    monkeypatch.setattr(streaming._Pipe, "__init__", remembered)
    provider = await w.provider(**OWN)
    whole = bytes(range(250)) * 240 * 400
    async with connected(w.broker.url) as (reader, writer):
        writer.write(b"POST /api/client/run/app?follow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        sequence, run = await provider.run()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for start in range(0, len(whole), 60_000):
            await writes(provider, sequence, whole[start : start + 60_000])
        await until(lambda: len(pipes[0]._stdout) > streaming.MAX_WAITING)
        assert len(pipes[0]._stdout) < streaming.MAX_WAITING + 100_000
        await provider.answer(sequence, output(run, whole))
        await until(lambda: not w.state.running)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    assert b"chunked" in head
    assert _unchunked(body) == whole


def _unchunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    place = 0
    while True:
        end = body.index(b"\r\n", place)
        size = int(body[place:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        place = end + 2 + size + 2


async def test_a_client_that_never_reads_is_given_up(w: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "STALL_SECONDS", 0.3)
    provider = await w.provider(**OWN)
    async with connected(w.broker.url) as (_, writer):
        writer.write(b"POST /api/client/run/app?follow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        sequence, _ = await provider.run()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            await writes(provider, sequence, bytes(60_000))
        await provider.cancel()
        await until(lambda: not w.state.running)


async def test_a_quiet_task_shows_that_it_lives(w: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "QUIET_SECONDS", 0.05)
    response = await post(w, "app", headers=EVENTS)
    for _ in range(3):
        assert await asyncio.wait_for(response.content.readuntil(b"\n\n"), 60) == b":\n\n"
