"""The asynchronous client over HTTP (Connect), against a scripted peer."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from wasimoff import AccessDenied, AsyncClient, BrokerError, BrokerUnavailable, NotFound, QueueFull, Task, TaskRejected

from .peer import Peer, Request, ok


async def test_a_task_and_many(peer: Peer) -> None:
    async with AsyncClient(peer.url, transport="http") as client:
        assert (await client.run("x", ["1"], stdin=b"\0\xff")).stdout == b"\0\xff"
        results = [result async for result in client.run_many((Task("x", [str(n)]) for n in range(50)), in_flight=10)]
    assert {result.index: result.text for result in results} == {n: f"x {n}" for n in range(50)}


def error(status: int, code: str, message: str, **headers: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status, headers=headers)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(400, "invalid_argument", "no params"), BrokerError, "no params"),
        (error(404, "not_found", "Ref not found in storage"), NotFound, "Ref not found"),
        (error(401, "unauthenticated", "who are you"), AccessDenied, "who are you"),
        (error(503, "unavailable", "nobody is free", **{"Retry-After": "1"}), TaskRejected, "nobody is free"),
        (web.Response(status=403, text="<html>no</html>"), AccessDenied, "HTTP 403$"),
        (web.Response(status=418, text="teapot"), None, "teapot"),
        (web.Response(body=b"\xff\xff\xff"), None, "can't be read"),
    ],
)
async def test_errors_in_words(peer: Peer, answer: web.Response, kind: type | None, words: str) -> None:
    peer.http_answer = lambda request: web.Response(body=answer.body, status=answer.status, headers=answer.headers)
    async with AsyncClient(peer.url, transport="http") as client:
        if kind is None:
            assert words in (await client.run("x")).error
        else:
            with pytest.raises(kind, match=words):
                await client.run("x", immediate=True)


async def test_only_a_full_queue_is_waited_for(peer: Peer) -> None:
    """A request that is too large is resource_exhausted as well, but has no Retry-After."""
    peer.http_answer = lambda request: error(429, "resource_exhausted", "the request is too large")
    async with AsyncClient(peer.url, transport="http") as client:
        (result,) = [result async for result in client.run_many([Task("x")])]
        assert result.code == "resource_exhausted"
        assert len(peer.tasks) == 1
        with pytest.raises(BrokerError) as caught:
            await client.run("x")
        assert not isinstance(caught.value, QueueFull)

        def once_full(request: Request) -> web.Response:
            if len(peer.tasks) < 4:
                return error(429, "resource_exhausted", "full", **{"Retry-After": "1"})
            return web.Response(body=ok(request).SerializeToString())

        peer.http_answer = once_full
        (result,) = [result async for result in client.run_many([Task("x")])]
        assert result.ok


async def test_cancelling_drops_the_request(peer: Peer) -> None:
    gone = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await request.read()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            gone.set()
            raise
        return web.Response()

    peer._connect = slow  # type: ignore[method-assign]
    from .peer import serve

    async with serve(peer) as again, AsyncClient(again.url, transport="http") as client:
        handle = client.submit(Task("x"))
        await asyncio.sleep(0.1)
        handle.cancel()
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_request_lost_with_its_connection_is_sent_again(peer: Peer) -> None:
    seen = 0

    async def flaky(request: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        message = Request.FromString(await request.read())
        if seen in (2, 3):
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=ok(message).SerializeToString())

    peer._connect = flaky  # type: ignore[method-assign]
    from .peer import serve

    async with serve(peer) as again, AsyncClient(again.url, transport="http") as client:
        assert (await client.run("x")).ok
        assert (await client.run("x")).ok
    assert seen == 4


async def test_a_broker_that_is_not_there(unused_tcp_port: int) -> None:
    async with AsyncClient(f"http://127.0.0.1:{unused_tcp_port}", transport="http") as client:
        with pytest.raises(BrokerUnavailable, match="connection refused"):
            await client.run("x")
