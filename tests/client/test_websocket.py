"""The asynchronous client over a WebSocket, against a scripted peer: order, loss, cancel, refusals, garbage."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from pyodide_provider.wire import codec
from wasimoff import (
    AsyncClient,
    BrokerError,
    BrokerUnavailable,
    NotFound,
    QueueFull,
    Result,
    Task,
    TaskRejected,
    TaskTimeout,
    UsageError,
)

from .peer import Link, Peer, Request, echo, ok, serve


async def until(condition: object, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110  (the peer's state has no events)
            await asyncio.sleep(0.005)


async def test_a_task_carries_all_that_was_asked(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        result = await client.run(
            "tsp", ["rand", "8"], env={"A": "1", "B": "x=y"}, stdin=b"in", rootfs="root", artifacts=["out"],
            priority=True, immediate=True, deadline=60,
        )  # fmt: skip
    assert (result.status, result.stdout, result.provider, result.ok) == (0, b"in", "peer", True)
    (task,) = peer.tasks
    assert list(task.params.args) == ["tsp", "rand", "8"]
    assert list(task.params.envs) == ["A=1", "B=x=y"]
    assert (task.params.binary.ref, task.params.rootfs.ref, list(task.params.artifacts)) == ("tsp", "root", ["out"])
    assert task.qos.priority
    assert task.qos.immediate
    assert 55 < task.qos.deadline.seconds - time.time() < 61
    assert task.info.id == result.task


async def test_answers_are_matched_whatever_their_order(peer: Peer) -> None:
    held: list[tuple[Link, int, Request]] = []

    async def backwards(link: Link, sequence: int, request: Request) -> None:
        held.append((link, sequence, request))
        if len(held) == 20:
            for each in reversed(held):
                await echo(*each)

    peer.answer = backwards
    async with AsyncClient(peer.url) as client:
        results = await asyncio.gather(*(client.run("x", [str(n)]) for n in range(20)))
    assert [result.text for result in results] == [f"x {n}" for n in range(20)]
    assert peer.connections == 1


@pytest.mark.parametrize("extension", [True, False])
async def test_frames_are_gathered_for_our_own_brokers_only(peer: Peer, extension: bool) -> None:
    peer.extension = extension
    async with AsyncClient(peer.url) as client:
        tasks = (Task("x", [str(n)]) for n in range(600))
        results = [result async for result in client.run_many(tasks, in_flight=64)]
    assert sorted(result.index for result in results) == list(range(600))
    assert all(result.text == f"x {result.index}" for result in results)
    assert (max(peer.frames) > 1) is extension


async def test_gathered_frames_stay_below_the_peers_limit(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        for size in (10, 100_000):  # after the first round it is known that frames may be gathered
            tasks = (Task("x", stdin=bytes(size)) for _ in range(100))
            results = [result async for result in client.run_many(tasks, in_flight=100)]
            assert [result.why for result in results] == [""] * 100
    assert peer.connections == 1
    assert max(peer.frames) > 1


async def test_a_lost_connection_sends_again_what_was_not_answered(peer: Peer) -> None:
    async def cut_once(link: Link, sequence: int, request: Request) -> None:
        if len(peer.tasks) == 5:
            link.drop()
        if len(peer.tasks) > 5 or request.params.args[1] in "01":
            await echo(link, sequence, request)

    peer.answer = cut_once
    async with AsyncClient(peer.url) as client:
        results = await asyncio.gather(*(client.run("x", [str(n)]) for n in range(5)))
    assert [result.text for result in results] == [f"x {n}" for n in range(5)]
    assert peer.connections == 2
    ids = [task.info.id for task in peer.tasks]
    assert len(set(ids)) == 5, "a task sent again keeps its id"
    assert sorted(ids.count(id) for id in set(ids)) in ([1, 1, 2, 2, 2], [2] * 5)


async def test_a_task_that_is_lost_again_and_again_is_given_up(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: link.drop()
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    assert not result.ok
    assert (result.status, result.code) == (None, "unavailable")
    assert "lost each of the 5 times" in result.error
    assert len(peer.tasks) == 5


async def test_a_broker_that_is_not_there_is_told_at_once(unused_tcp_port: int) -> None:
    async with AsyncClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(BrokerUnavailable, match=r"can't reach the broker at http://127.*: connection refused"):
            await client.run("x")


async def test_a_broker_that_does_not_come_back_is_given_up(unused_tcp_port: int) -> None:
    async with serve(Peer(), unused_tcp_port) as peer:
        peer.answer = lambda link, sequence, request: None
        client = AsyncClient(peer.url, patience=0.5)
        waiting = client.submit(Task("x"))
        await until(lambda: peer.tasks)
    with pytest.raises(BrokerUnavailable, match=r"could not get it back within 0.5 s"):
        await waiting
    await client.close()


async def test_a_broker_that_comes_back_is_used_again(unused_tcp_port: int) -> None:
    async with serve(Peer(), unused_tcp_port) as first:
        first.answer = lambda link, sequence, request: None
        client = AsyncClient(first.url)
        waiting = client.submit(Task("x", ["1"]))
        await until(lambda: first.tasks)
    async with serve(Peer(), unused_tcp_port):
        assert (await waiting).text == "x 1"
    async with serve(Peer(), unused_tcp_port):
        assert (await client.run("x", ["2"])).text == "x 2"
        await client.close()


async def test_cancelling_cancels_on_the_broker(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    async with AsyncClient(peer.url) as client:
        handle = client.submit(Task("x"))
        await until(lambda: peer.tasks)
        handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle
        await until(lambda: peer.cancels)
        assert peer.cancels == [peer.tasks[0].info.id]
        peer.answer = echo
        assert (await client.run("y")).ok, "the connection goes on"


async def test_closing_cancels_what_runs_before_the_connection_ends(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    client = AsyncClient(peer.url)
    handles = [client.submit(Task("x")) for _ in range(3)]
    await until(lambda: len(peer.tasks) == 3)
    await client.close()
    await asyncio.wait_for(peer.closed.wait(), 5)
    assert sorted(peer.cancels) == sorted(task.info.id for task in peer.tasks)
    assert all(handle.cancelled() for handle in handles)
    with pytest.raises(UsageError, match="closed"):
        await client.run("x")
    await client.close()


async def test_a_waiting_run_ends_with_words_when_its_client_is_closed(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    client = AsyncClient(peer.url)
    waiting = asyncio.ensure_future(client.run("x"))
    await until(lambda: peer.tasks)
    await client.close()
    with pytest.raises(BrokerUnavailable, match="the client was closed"):
        await waiting


async def test_a_late_answer_is_ignored(peer: Peer) -> None:
    held: list[tuple[Link, int, Request]] = []
    peer.answer = lambda link, sequence, request: held.append((link, sequence, request))
    async with AsyncClient(peer.url) as client:
        handle = client.submit(Task("x"))
        await until(lambda: held)
        handle.cancel()
        await asyncio.gather(handle, return_exceptions=True)
        await echo(*held[0])
        await echo(*held[0])
        peer.answer = echo
        assert (await client.run("y")).text == "y"


async def test_timeout_raises_and_cancels(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    async with AsyncClient(peer.url) as client:
        with pytest.raises(TaskTimeout, match=r"within 2 s"):
            await client.run("x", timeout=2)
        await until(lambda: peer.cancels)
        results = [result async for result in client.run_many([Task("x", timeout=0.1, label="slow")])]
    assert [(r.code, r.label, r.ok) for r in results] == [("deadline_exceeded", "slow", False)]


def failing(text: str, times: int = 10**9) -> object:
    count = 0

    async def answer(link: Link, sequence: int, request: Request) -> None:
        nonlocal count
        count += 1
        await (link.send(codec.failure(sequence, text)) if count <= times else echo(link, sequence, request))

    return answer


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("not_found: Ref not found in storage", NotFound),
        ("resource_exhausted: 10000 tasks wait already", QueueFull),
        ("invalid_argument: the task has no params", BrokerError),
    ],
)
async def test_refusals_raise_from_run_and_are_results_of_run_many(peer: Peer, text: str, error: type) -> None:
    peer.answer = failing(text)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        with pytest.raises(error, match=text.partition(": ")[2]):
            await client.run("x")
        if error is not QueueFull:
            (result,) = [result async for result in client.run_many([Task("x")])]
            assert (result.code, result.error) == tuple(text.split(": "))


@pytest.mark.parametrize("text", ["deadline_exceeded: too late", "canceled: by an operator", "internal: oh", "who knows"])
async def test_how_an_accepted_task_ended_is_a_value(peer: Peer, text: str) -> None:
    peer.answer = failing(text)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        result = await client.run("x")
    assert isinstance(result, Result)
    assert (result.status, result.ok) == (None, False)
    assert text.endswith(result.error)
    assert result.code == (text.split(": ")[0] if ": " in text else "unknown")


async def test_nobody_free_for_an_immediate_task_is_a_rejection(peer: Peer) -> None:
    peer.answer = failing("unavailable: no slot is free now")  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        with pytest.raises(TaskRejected, match="no slot is free"):
            await client.run("x", immediate=True)
    assert len(peer.tasks) == 1


async def test_a_full_queue_is_met_with_patience_by_run_many(peer: Peer) -> None:
    peer.answer = failing("resource_exhausted: full; retry after 0.05 s", times=7)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        results = [result async for result in client.run_many((Task("x") for _ in range(5)), in_flight=5)]
    assert [result.ok for result in results] == [True] * 5
    assert len(peer.tasks) == 12


async def test_a_broker_that_shuts_down_is_asked_again(peer: Peer) -> None:
    peer.answer = failing("unavailable: the broker is shutting down; try again in a moment", times=1)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x")).ok
    assert len(peer.tasks) == 2


@pytest.mark.parametrize("frame", [b"\xff\xff\xff garbage", codec.batch([b"\x08"]), b""])
async def test_garbage_ends_the_connection_not_the_client(peer: Peer, frame: bytes) -> None:
    async def garbage(link: Link, sequence: int, request: Request) -> None:
        if len(peer.tasks) == 1:
            await link.send(frame)
            if not frame:
                link.drop()
        else:
            await echo(link, sequence, request)

    peer.answer = garbage
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x")).ok
    assert peer.connections == 2


async def test_events_requests_and_answers_to_nothing_are_ignored(peer: Peer) -> None:
    from pyodide_provider.wire import messages_pb2 as pb

    async def noisy(link: Link, sequence: int, request: Request) -> None:
        await link.send(codec.event(1, pb.Event.ClusterInfo(providers=3)))
        await link.send(codec.request(7, pb.Ping()))
        await link.send(codec.response(999, ok(request)))
        await link.send(codec.failure(0, "whatever"))
        await echo(link, sequence, request)

    peer.answer = noisy
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x", ["1"])).text == "x 1"


async def test_an_answer_of_another_type_is_an_error_in_words(peer: Peer) -> None:
    from pyodide_provider.wire import messages_pb2 as pb

    async def wrong(link: Link, sequence: int, request: Request) -> None:
        await link.send(codec.response(sequence, pb.Ping() if len(peer.tasks) == 1 else pb.Task.Wasip1.Response()))

    peer.answer = wrong
    async with AsyncClient(peer.url) as client:
        assert "answered a task with wasimoff.v1.Ping" in (await client.run("x")).error
        assert "without a result" in (await client.run("x")).error


async def test_a_task_too_large_for_the_broker_is_told_and_the_others_go_on(peer: Peer) -> None:
    peer.extension = False
    async with AsyncClient(peer.url) as client:
        small = [client.submit(Task("x", [str(n)])) for n in range(5)]
        with pytest.raises(BrokerError, match=r"more than the broker takes .*put large input into a rootfs"):
            await client.run("x", stdin=bytes(2**20 + 1))
        assert [result.ok for result in await asyncio.gather(*small)] == [True] * 5


async def test_leaving_run_many_early_cancels_the_rest(peer: Peer) -> None:
    async def only_first(link: Link, sequence: int, request: Request) -> None:
        if request.params.args[1] == "0":
            await echo(link, sequence, request)

    peer.answer = only_first
    async with AsyncClient(peer.url) as client:
        async with aclosing(client.run_many((Task("x", [str(n)]) for n in range(100)), in_flight=8)) as results:
            async for result in results:
                assert result.index == 0
                break
        await until(lambda: len(peer.cancels) == len(peer.tasks) - 1)
    assert len(peer.tasks) <= 9


async def test_a_wrong_peer_is_told_from_a_broker(peer: Peer) -> None:
    async with AsyncClient(f"{peer.url}/nothing/here") as client:
        with pytest.raises(BrokerUnavailable, match="no wasimoff broker"):
            await client.run("x")
    peer.refuse_connections = True
    async with AsyncClient(peer.url) as client:
        with pytest.raises(BrokerUnavailable, match="HTTP 503"):
            await client.run("x")


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wasimoff.websocket.DIAL", 0.2)

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            await client.run("x")
    server.close()
    await server.wait_closed()


async def test_a_silent_connection_is_noticed_and_made_anew(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the cable is pulled: the socket stays open, nothing comes any more."""
    monkeypatch.setattr("wasimoff.websocket.SILENCE", 0.2)

    async def freeze(link: Link, sequence: int, request: Request) -> None:
        if peer.connections == 1:
            await asyncio.sleep(2)  # the peer's reader answers no pings meanwhile
        await echo(link, sequence, request)

    peer.answer = freeze
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x")).ok
    assert peer.connections == 2


async def test_a_trace_is_asked_for_and_comes_back(peer: Peer) -> None:
    async def traced(link: Link, sequence: int, request: Request) -> None:
        answer = ok(request)
        if request.info.HasField("trace"):
            answer.info.trace.CopyFrom(request.info.trace)
            answer.info.trace.events.add(unixnano=time.time_ns(), event=21, details="d")
            answer.info.trace.events.add(unixnano=time.time_ns(), event=41)
        await link.send(codec.response(sequence, answer))

    peer.answer = traced
    async with AsyncClient(peer.url) as client:
        result = await client.run("x", trace=True)
        assert (await client.run("x")).trace == ()
    names = [event.event for event in result.trace]
    assert names == ["ClientTransmitRequest", "BrokerReceivedClientRequest", "event 41", "ClientReceivedResponse"]
    assert result.trace[0].unixnano <= result.trace[-1].unixnano


async def test_thousands_of_tasks_leave_nothing_behind(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        count = 0
        async for result in client.run_many((Task("x", [str(n)]) for n in range(3000)), in_flight=200):
            count += result.ok
        assert count == 3000
        opened = client._opened
        assert opened is not None
        assert len(opened.transport._calls) == 0  # type: ignore[attr-defined]
        assert not client._running
