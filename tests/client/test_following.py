"""Chunks: they add up to the Result, over retries, with slow consumers; and stdin that is sent piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import AsyncClient, BrokerError, Chunk, Client, Result, Task, UsageError
from wasimoff.following import Following, Printed
from wasimoff.live import AHEAD, PIECE, WINDOW, Live, pieces

from .conftest import WASM
from .peer import Link, Peer, Request, ok
from .test_websocket import failing, until


def test_chunks_and_the_rest_add_up() -> None:
    following = Following()
    following.sent()
    assert following.take() is None
    following.wrote(b"a", b"x")
    following.wrote(b"b", b"")
    assert following.take() == Chunk(b"ab", b"x", 1)
    following.wrote(b"lost with the link", b"")
    assert following.rest(Result(0, b"abcd", b"x")) == Chunk(b"cd", b"", 1)


def test_nothing_is_left_of_what_was_given_out() -> None:
    following = Following()
    following.sent()
    following.wrote(b"a", b"x")
    following.take()
    assert following.rest(Result(0, b"a", b"x")) is None
    assert Following().rest(Result(0)) is None


def test_what_did_not_fit_leaves_no_gap() -> None:
    following = Following(4)
    following.sent()
    following.wrote(b"abcd", b"")
    following.wrote(b"efgh", b"")
    assert following.take() == Chunk(b"abcd", b"", 1)
    following.wrote(b"i", b"")
    assert following.take() is None
    assert following.rest(Result(0, b"abcdefghi")) == Chunk(b"efghi", b"", 1)


def test_a_new_attempt_begins_anew() -> None:
    following = Following()
    following.sent()
    following.wrote(b"abc", b"")
    following.sent()  # nothing was given out: nobody needs to know
    following.wrote(b"ab", b"")
    assert following.take() == Chunk(b"ab", b"", 1)
    following.wrote(b"void", b"")
    following.sent()
    following.wrote(b"a", b"")
    assert following.take() == Chunk(b"a", b"", 2)
    assert following.rest(Result(0, b"abc")) == Chunk(b"bc", b"", 2)


def test_output_that_is_not_the_results_is_void() -> None:
    """The broker has moved the task to another provider, and told what both wrote."""
    following = Following()
    following.sent()
    following.wrote(b"ab", b"")
    following.wrote(b"abc", b"")
    assert following.take() == Chunk(b"ababc", b"", 1)
    assert following.rest(Result(0, b"abcd", b"e")) == Chunk(b"abcd", b"e", 2)


def test_a_failed_task_has_written_what_it_has_written() -> None:
    following = Following()
    following.sent()
    following.wrote(b"abc", b"")
    assert following.take() is not None
    following.wrote(b"d", b"")
    assert following.rest(Result(None, error="trap")) == Chunk(b"d", b"", 1)


@given(
    st.lists(st.one_of(st.just("sent"), st.just("take"), st.tuples(st.binary(max_size=4), st.binary(max_size=4))), max_size=30),
    st.integers(0, 8),
)
def test_whatever_happens_the_last_attempts_chunks_are_the_result(steps: list[object], pending: int) -> None:
    following, printed = Following(pending), Printed()
    following.sent()
    whole = [b"", b""]
    chunks: list[Chunk] = []
    for step in steps:
        if step == "sent":
            following.sent()
            whole = [b"", b""]
        elif step == "take":
            chunks += [chunk] if (chunk := following.take()) else []
        else:
            assert isinstance(step, tuple)
            whole = [whole[0] + step[0], whole[1] + step[1]]
            following.wrote(*step)
            assert len(following._out.waiting) + len(following._err.waiting) <= pending
    result = Result(0, *whole)
    chunks += [chunk] if (chunk := following.rest(result)) else []
    last = max((chunk.attempt for chunk in chunks), default=1)
    of_last = [chunk for chunk in chunks if chunk.attempt == last]
    if whole[0] or whole[1]:
        assert b"".join(chunk.stdout for chunk in of_last) == whole[0]
        assert b"".join(chunk.stderr for chunk in of_last) == whole[1]
    out, err = zip(*[printed.take(chunk) for chunk in chunks], printed.end(result), strict=True)
    assert b"".join(out).endswith(whole[0])
    assert b"".join(err).endswith(whole[1])


def test_what_was_printed_is_not_printed_again() -> None:
    printed = Printed()
    assert printed.take(Chunk(b"abc", b"x", 1)) == (b"abc", b"x")
    assert printed.take(Chunk(b"a", b"x", 2)) == (b"", b"")
    assert printed.take(Chunk(b"bcd", b"y", 2)) == (b"d", b"y")
    assert not printed.differs
    assert printed.take(Chunk(b"aXcde", b"", 3)) == (b"aXcde", b"")
    assert printed.differs


def test_an_attempt_that_writes_less_is_printed() -> None:
    printed = Printed()
    printed.take(Chunk(b"abc", b"", 1))
    assert printed.take(Chunk(b"ab", b"", 2)) == (b"", b"")
    assert printed.end(Result(0, b"ab")) == (b"ab", b"")
    assert printed.differs


def writes(*chunks: bytes, gate: asyncio.Event | None = None, status: int = 0) -> Callable[..., object]:
    """Tells each chunk as an event; when the gate opens, answers with all of them."""

    async def answer(link: Link, sequence: int, request: Request) -> None:
        for chunk in chunks:
            await link.wrote(sequence, chunk, chunk.upper())
        asyncio.create_task(end(link, sequence, request))  # noqa: RUF006

    async def end(link: Link, sequence: int, request: Request) -> None:
        if gate is not None:
            await gate.wait()
        response = ok(request, b"".join(chunks), stderr=b"".join(chunks).upper())
        response.ok.status = status
        await link.send(codec.response(sequence, response))

    return answer


async def test_output_comes_while_the_task_runs(peer: Peer) -> None:
    gate = asyncio.Event()
    peer.answer = writes(b"one\n", b"two\n", gate=gate, status=3)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client, aclosing(client.follow(Task("x"))) as items:
        seen = b""
        while seen != b"one\ntwo\n":
            item = await anext(items)
            assert isinstance(item, Chunk)
            seen += item.stdout
        gate.set()
        (result,) = [item async for item in items]
    assert isinstance(result, Result)
    assert (result.status, result.stdout, result.stderr) == (3, b"one\ntwo\n", b"ONE\nTWO\n")
    assert peer.tasks[0].qos.follow
    assert not peer.tasks[0].qos.interactive


async def test_only_who_follows_asks_for_it(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        await client.run("x")
        seen: list[Chunk] = []
        assert (await client.run("x", ["a"], follow=seen.append)).ok
    assert [task.qos.follow for task in peer.tasks] == [False, True]
    assert seen == [Chunk(b"x a")]


def test_the_plain_client_follows_too(in_thread_peer: Peer) -> None:
    in_thread_peer.answer = writes(b"one", b"two")  # type: ignore[assignment]
    with Client(in_thread_peer.url) as client:
        *chunks, result = list(client.follow(Task("x")))
        assert b"".join(chunk.stdout for chunk in chunks if isinstance(chunk, Chunk)) == b"onetwo"
        assert isinstance(result, Result)
        seen: list[Chunk] = []
        assert client.run("x", follow=seen.append).stdout == b"onetwo"
        assert b"".join(chunk.stderr for chunk in seen) == b"ONETWO"


async def test_events_about_others_and_garbage_are_ignored(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        await link.wrote(sequence + 7, b"not mine")
        broken = pb.Envelope(type=pb.Envelope.Event)
        broken.payload.type_url, broken.payload.value = "wasimoff/wasimoff.v1.Event.TaskOutput", b"\xff\xff"
        await link.send(broken.SerializeToString())
        await link.send(codec.event(9, pb.Event.ClusterInfo(providers=1)))
        await link.wrote(sequence, b"mine")
        await link.send(codec.response(sequence, ok(request, b"mine")))
        await link.wrote(sequence, b"late")

    peer.answer = answer
    async with AsyncClient(peer.url) as client:
        for _ in range(2):
            items = [item async for item in client.follow(Task("x"))]
            assert b"".join(item.stdout for item in items[:-1]) == b"mine"


async def test_a_slow_consumer_gets_all_of_it_in_the_end(peer: Peer) -> None:
    chunk = b"x" * 2**19
    peer.answer = writes(*[chunk] * 40)  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client, aclosing(client.follow(Task("x"))) as items:
        first = await anext(items)
        assert isinstance(first, Chunk)
        handle = next(iter(client._running))
        async with asyncio.timeout(60):
            await asyncio.wait([handle])
        rest = [item async for item in items]
    result = rest.pop()
    assert isinstance(result, Result)
    assert len(result.stdout) == 40 * 2**19
    assert len(first.stdout) + sum(len(item.stdout) for item in rest) == 40 * 2**19
    assert max(len(item.stdout) for item in rest[:-1] or [first]) <= 4 * 2**20


async def test_a_lost_connection_begins_the_output_anew(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        attempt = len(peer.tasks)
        await link.wrote(sequence, b"ab" if attempt == 1 else b"abc")
        await until(lambda: len(chunks) == attempt)
        if attempt == 1:
            link.drop()
        else:
            await link.send(codec.response(sequence, ok(request, b"abcd")))

    peer.answer = answer
    chunks: list[Chunk] = []
    async with AsyncClient(peer.url) as client:
        assert (await client.run("x", follow=chunks.append)).stdout == b"abcd"
    assert chunks == [Chunk(b"ab", b"", 1), Chunk(b"abc", b"", 2), Chunk(b"d", b"", 2)]


async def test_leaving_the_loop_cancels_the_task(peer: Peer) -> None:
    peer.answer = writes(b"one", gate=asyncio.Event())  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        async with aclosing(client.follow(Task("x"))) as items:
            await anext(items)
        await until(lambda: peer.cancels)
    assert peer.cancels == [peer.tasks[0].info.id]


async def test_refusals_and_timeouts_are_raised_as_ever(peer: Peer) -> None:
    peer.answer = failing("invalid_argument: no")  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        with pytest.raises(BrokerError, match="no"):
            _ = [item async for item in client.follow(Task("x"))]
        peer.answer = lambda link, sequence, request: None
        with pytest.raises(TimeoutError):
            _ = [item async for item in client.follow(Task("x", timeout=1))]


async def test_over_http_all_comes_at_the_end(peer: Peer) -> None:
    async with AsyncClient(peer.url, transport="http") as client:
        items = [item async for item in client.follow(Task("x", ["a"]))]
        assert items[0] == Chunk(b"x a")
        with pytest.raises(UsageError, match="websocket"):
            _ = [item async for item in client.follow(Task("x"), typed())]


async def typed(*lines: bytes) -> AsyncGenerator[bytes]:
    for line in lines:
        yield line


async def answers_lines(link: Link, event: pb.Event.TaskInput) -> None:
    """As cat does: gives back each piece, and ends when stdin does."""
    if event.stdin:
        await link.wrote(event.request, event.stdin)
        await tells_what_is_read(link, event.request)
    if event.end:
        request = link.peer.tasks[-1]
        content = request.params.stdin + b"".join(item.stdin for item in link.peer.inputs)
        await link.send(codec.response(event.request, ok(request, content)))


async def tells_what_is_read(link: Link, request: int) -> None:
    taken = sum(len(item.stdin) for item in link.peer.inputs)
    await link.send(codec.event(1, pb.Event.TaskInputTaken(request=request, taken=taken)))


async def test_stdin_is_sent_as_it_comes(peer: Peer) -> None:
    async def talk() -> AsyncGenerator[bytes]:
        for word in (b"one\n", b"", b"two\n"):
            yield word
            if word:
                await until(lambda word=word: seen.endswith(word))

    seen = b""
    peer.answer, peer.heard = lambda link, sequence, request: None, answers_lines
    async with AsyncClient(peer.url) as client:
        async for item in client.follow(Task("x", stdin=b"zero\n"), talk()):
            if isinstance(item, Chunk):
                seen += item.stdout
            else:
                assert item.stdout == b"zero\none\ntwo\n"
    assert peer.tasks[0].qos.interactive
    assert [(event.stdin, event.end) for event in peer.inputs] == [(b"one\n", False), (b"two\n", False), (b"", True)]


async def test_what_is_typed_while_the_program_is_uploaded_is_sent_too(peer: Peer) -> None:
    peer.answer, peer.heard = lambda link, sequence, request: None, answers_lines
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task(WASM), typed(b"one", b"two"))]
    assert isinstance(result, Result)
    assert result.stdout == b"onetwo"


async def test_only_so_many_pieces_wait() -> None:
    live = Live(interactive=True)
    putting = asyncio.create_task(live.put(bytes(PIECE * (AHEAD + 5)), end=True))
    for _ in range(100):
        await asyncio.sleep(0)
    assert live.waiting == AHEAD
    sizes = []
    async with asyncio.timeout(60):
        while not putting.done() or live.waiting:
            if piece := live.next_input():
                sizes.append(len(piece[0]))
                assert piece[1] is (len(sizes) == AHEAD + 5)
            await asyncio.sleep(0)
    assert sizes == [PIECE] * (AHEAD + 5)


async def test_large_stdin_goes_in_pieces_and_waits_for_the_link(peer: Peer) -> None:
    peer.answer, peer.heard = lambda link, sequence, request: None, answers_lines
    content = bytes(range(256)) * 2**14
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task("x"), typed(content, b"end"))]
    assert isinstance(result, Result)
    assert result.stdout == content + b"end"
    assert max(len(event.stdin) for event in peer.inputs) == 2**16


async def test_no_more_is_sent_than_the_task_may_read_later(peer: Peer) -> None:
    size = 0

    async def reads_late(link: Link, event: pb.Event.TaskInput) -> None:
        nonlocal size
        size += len(event.stdin)
        assert size <= WINDOW
        if size == WINDOW or event.end:
            await asyncio.sleep(0.02)
            size = 0
            await tells_what_is_read(link, event.request)
        if event.end:
            await link.send(codec.response(event.request, ok(link.peer.tasks[-1], b"")))

    peer.answer, peer.heard = lambda link, sequence, request: None, reads_late
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task("x"), typed(bytes(5 * WINDOW), b"end"))]
    assert isinstance(result, Result)
    assert sum(len(item.stdin) for item in peer.inputs) == 5 * WINDOW + 3


async def test_a_broker_that_never_says_what_is_read_gets_all_of_it(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It bounds the input itself."""
    monkeypatch.setattr("wasimoff.live.SILENCE", 0.05)

    async def only_reads(link: Link, event: pb.Event.TaskInput) -> None:
        if event.end:
            await link.send(codec.response(event.request, ok(link.peer.tasks[-1], b"")))

    peer.answer, peer.heard = lambda link, sequence, request: None, only_reads
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task("x"), typed(bytes(2 * WINDOW)))]
    assert isinstance(result, Result)
    assert sum(len(item.stdin) for item in peer.inputs) == 2 * WINDOW


async def test_who_is_talked_to_is_not_sent_again(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        link.drop()

    peer.answer = answer
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task("x"), typed(b"one"))]
    assert isinstance(result, Result)
    assert result.code == "unavailable"
    assert "a task that is talked to is not sent again" in result.error
    assert len(peer.tasks) == 1


async def test_nobody_takes_interactive_tasks(peer: Peer) -> None:
    peer.extension = False
    async with AsyncClient(peer.url) as client:
        with pytest.raises(BrokerError, match="takes no interactive tasks"):
            _ = [item async for item in client.follow(Task("x"), typed())]
        peer.extension = True
    peer.answer = failing("failed_precondition: no provider runs interactive tasks")  # type: ignore[assignment]
    async with AsyncClient(peer.url) as client:
        *_, result = [item async for item in client.follow(Task("x"), typed())]
        assert isinstance(result, Result)
        assert result.error == "no provider runs interactive tasks"


async def test_an_error_of_who_gives_stdin_is_raised_and_cancels(peer: Peer) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"one"
        await until(lambda: peer.tasks)
        raise RuntimeError("no more")

    peer.answer = lambda link, sequence, request: None
    async with AsyncClient(peer.url) as client:
        with pytest.raises(RuntimeError, match="no more"):
            _ = [item async for item in client.follow(Task("x"), broken())]
        await until(lambda: peer.cancels)


def test_the_plain_client_talks_too(in_thread_peer: Peer) -> None:
    in_thread_peer.answer, in_thread_peer.heard = lambda link, sequence, request: None, answers_lines
    with Client(in_thread_peer.url) as client, closing(client.follow(Task("x"), [b"one", b"", b"two"])) as items:
        *_, result = items
        assert isinstance(result, Result)
        assert result.stdout == b"onetwo"


async def test_pieces_of_a_blocking_read() -> None:
    words = iter([b"a", b"b", b""])
    assert [piece async for piece in pieces(lambda: next(words))] == [b"a", b"b"]

    def broken() -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        _ = [piece async for piece in pieces(broken)]
