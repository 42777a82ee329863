"""The short way for short tasks over HTTP, held to aiohttp's: same answers, however the bytes come and whatever they are."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker import front
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import METHODS, WASM, Response, World, output, task, until, world

PATH = METHODS + "RunWasip1"
PLAIN = [("Host", "localhost"), ("Content-Type", "application/proto")]


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        found.serve(await found.provider("who", 4), b"")
        yield found


def body(*args: str, id: str = "mine") -> bytes:
    return task("app", *args, id=id).SerializeToString()


def head(*headers: tuple[str, str], length: int | None = None, line: str = f"POST {PATH} HTTP/1.1") -> bytes:
    given = [*headers, *([] if length is None else [("Content-Length", str(length))])]
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in given), "", ""]).encode("utf-8", "surrogateescape")


def plain(*args: str, id: str = "mine", extra: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A request that goes the short way, unless `extra` headers keep it from that."""
    content = body(*args, id=id)
    return head(*PLAIN, *extra, length=len(content)) + content


class Answer:
    """One response. `short`: it did not come from aiohttp, which signs what it writes."""

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.status = status
        self.short = "server" not in headers
        self.headers = headers
        self.content = gzip.decompress(content) if headers.get("content-encoding") == "gzip" else content

    @property
    def stdout(self) -> bytes:
        assert self.status == 200, self.content
        return Response.FromString(self.content).ok.stdout

    def __repr__(self) -> str:
        return f"<{self.status} {'short' if self.short else 'long'} {self.content[:200]!r}>"


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, seconds: float = 20.0) -> Answer:
        """Raises EOFError when the connection ends instead."""
        async with asyncio.timeout(seconds):
            line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            assert "transfer-encoding" not in headers
            status = int(line.split()[1])
            if status == 100:
                return await self.answer(seconds)
            return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def ask(self, data: bytes) -> Answer:
        self.write(data)
        return await self.answer()

    async def silent(self, seconds: float = 0.02) -> bool:
        try:
            await self.answer(seconds)
        except TimeoutError:
            return True
        except EOFError:
            pass
        return False


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[Connection]:
    host, port = url.rpartition("/")[2].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), **options)  # type: ignore[arg-type]
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


# What goes the short way


async def test_plain_requests_go_the_short_way_one_after_the_other(w: World):
    async with connected(w.broker.url) as c:
        for number in range(20):
            answer = await c.ask(plain(f"n{number}", id=f"{number}"))
            assert (answer.short, answer.stdout) == (True, f"n{number}".encode())
            info = Response.FromString(answer.content).info
            assert info == pb.Task.Metadata(id=f"{number}", provider="who", attempt=1)
            assert answer.headers["content-type"] == "application/proto"


@pytest.mark.parametrize(
    "extra",
    [
        [("connect-protocol-version", "1"), ("ACCEPT", "*/*"), ("te", "trailers"), ("Accept-Encoding", "gzip")],
        [("Connection", "keep-alive"), ("User-Agent", "x" * 1000), ("connect-accept-encoding", "gzip")],
    ],
)
async def test_what_http_clients_usually_send_is_plain(w: World, extra: list[tuple[str, str]]):
    async with connected(w.broker.url) as c:
        content = body("x")
        request = head(("HOST", "a:1"), ("content-type", "application/proto"), *extra, ("content-LENGTH", str(len(content))))
        assert (await c.ask(request + content)).short


async def test_refusals_on_the_short_way(w: World):
    async with connected(w.broker.url) as c:
        for content, status, code in (
            (b"", 400, "invalid_argument"),
            (task("nothing").SerializeToString(), 404, "not_found"),
            (task("app", qos=pb.Task.QoS(deadline=Timestamp(seconds=1))).SerializeToString(), 504, "deadline_exceeded"),
        ):
            answer = await c.ask(head(*PLAIN, length=len(content)) + content)
            assert (answer.short, answer.status, answer.headers["content-type"]) == (True, status, "application/json")
            assert json.loads(answer.content)["code"] == code
        assert (await c.ask(plain("x"))).stdout == b"x"


# However the bytes come


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("content", [b"", body("split")], ids=["no body", "body"])
async def test_a_request_cut_in_two_anywhere(w: World, content: bytes, cached: bool):
    """With `cached`, after a whole one with the very same head."""
    request = head(*PLAIN, length=len(content)) + content
    for at in range(1, len(request), 1 if cached else 5):
        async with connected(w.broker.url) as c:
            if cached:
                assert (await c.ask(request)).short
            c.write(request[:at])
            await asyncio.sleep(0.0005)
            answer = await c.ask(request[at:])
            assert answer.stdout == b"split" if content else answer.status == 400


async def test_a_head_without_its_end_is_not_a_request(w: World):
    """The same head has been served before; now it stops right before the empty line, and goes on in another way."""
    request = head(*PLAIN, length=0)
    async with connected(w.broker.url) as c:
        assert (await c.ask(request)).status == 400
        c.write(request.removesuffix(b"\r\n\r\n"))
        assert await c.silent()
        c.write(b"\r\nContent-Length: 5\r\n\r\nhello")
        with suppress(EOFError):
            answer = await c.answer()
            assert not answer.short
            assert answer.status == 400


async def test_byte_by_byte(w: World):
    async with connected(w.broker.url) as c:
        for byte in plain("drip"):
            c.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await c.answer()).stdout == b"drip"


@pytest.mark.parametrize("count", [2, 3, 50])
async def test_several_in_one_segment(w: World, count: int):
    async with connected(w.broker.url) as c:
        c.write(b"".join(plain(f"{n}") for n in range(count)))
        assert [(await c.answer()).stdout for _ in range(count)] == [f"{n}".encode() for n in range(count)]


async def test_several_in_a_row_without_waiting(w: World):
    async with connected(w.broker.url) as c:
        for number in range(30):
            c.write(plain(f"{number}"))
            await asyncio.sleep(0.0005 if number % 3 else 0)
        assert [(await c.answer()).stdout for _ in range(30)] == [f"{n}".encode() for n in range(30)]


async def test_the_next_request_waits_for_the_answer_of_this_one():
    async with world() as w:
        provider = await w.provider(slots=4)
        async with connected(w.broker.url) as c:
            c.write(plain("a"))
            first, request = await provider.run()
            c.write(plain("b"))
            await asyncio.sleep(0.01)
            assert w.state.running == 1
            await provider.answer(first, output(request, b"A"))
            assert (await c.answer()).stdout == b"A"
            second, request = await provider.run()
            await provider.answer(second, output(request, b"B"))
            answer = await c.answer()
            assert (answer.stdout, answer.short) == (b"B", True)


async def test_other_requests_on_the_same_connection(w: World):
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upload = f"POST /api/storage/upload?name=other HTTP/1.1\r\nHost: x\r\nContent-Length: {len(WASM)}\r\n\r\n".encode() + WASM
    async with connected(w.broker.url) as c:
        assert (await c.ask(plain("a"))).short
        assert (await c.ask(get)).content == b"OK"
        answer = await c.ask(plain("b"))
        assert (answer.stdout, answer.short) == (b"b", False), "once aiohttp has a connection, it keeps it"
        assert (await c.ask(upload)).status == 200
        assert (await c.ask(plain("c"))).stdout == b"c"
    async with connected(w.broker.url) as c:
        c.write(plain("a") + get + plain("b") + get)
        found = [await c.answer() for _ in range(4)]
        assert [found[0].stdout, found[1].content, found[2].stdout, found[3].content] == [b"a", b"OK", b"b", b"OK"]


async def test_what_comes_while_a_task_runs_waits():
    """More than is read in advance, behind a request that is under way: all of it is served in the end."""
    async with world() as w:
        provider = await w.provider()
        async with connected(w.broker.url) as c:
            c.write(plain("a"))
            sequence, request = await provider.run()
            c.write(plain("x" * 10_000) * 200)
            await asyncio.sleep(0.05)
            await provider.answer(sequence, output(request))
            assert (await c.answer()).stdout == b"out"
            w.serve(provider, b"")
            for _ in range(200):
                assert (await c.answer()).stdout == b"x" * 10_000


async def test_what_comes_while_a_task_runs_is_bounded():
    async with world() as w:
        provider = await w.provider()
        async with connected(w.broker.url) as c:
            c.write(plain("a"))
            await provider.run()
            (one,) = w.broker._door.fronts
            c.write(bytes(16 << 20))
            await until(lambda: len(one._waits) > front.MAX_BYTES)
            await asyncio.sleep(0.1)
            assert len(one._waits) < 8 * front.MAX_BYTES


# What must go to aiohttp


LONG: dict[str, bytes] = {
    "another method": plain("x").replace(b"POST", b"PUT ", 1),
    "another path": plain("x").replace(b"RunWasip1", b"Nothing", 1),
    "a query": plain("x").replace(b"RunWasip1 ", b"RunWasip1? ", 1),
    "HTTP/1.0": plain("x").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "JSON": plain("x").replace(b"application/proto", b"application/json", 1),
    "a parameter of the type": plain("x").replace(b"application/proto", b"application/proto;x=1", 1),
    "no type": plain("x").replace(b"Content-Type", b"X-Type", 1),
    "type twice": plain("x", extra=(("Content-Type", "application/proto"),)),
    "Transfer-Encoding": plain("x", extra=(("Transfer-Encoding", "chunked"),)),
    "Transfer-Encoding in odd letters": plain("x", extra=(("tRANSFER-eNCODING", "identity"),)),
    "a second length": plain("x", extra=(("Content-Length", "3"),)),
    "the same length again": plain("x", extra=(("Content-Length", str(len(body("x")))),)),
    "Content-Encoding": plain("x", extra=(("Content-Encoding", "gzip"),)),
    "Content-Encoding identity": plain("x", extra=(("Content-Encoding", "identity"),)),
    "Expect": plain("x", extra=(("Expect", "100-continue"),)),
    "Connect-Timeout-Ms": plain("x", extra=(("Connect-Timeout-Ms", "1000"),)),
    "another version": plain("x", extra=(("Connect-Protocol-Version", "2"),)),
    "Origin": plain("x", extra=(("Origin", "https://elsewhere.example"),)),
    "Connection: close": plain("x", extra=(("Connection", "close"),)),
    "Connection: upgrade": plain("x", extra=(("Connection", "Upgrade"), ("Upgrade", "websocket"))),
    "an unknown header": plain("x", extra=(("X-Other", "1"),)),
    "a folded line": plain("x").replace(b"Host: localhost", b"Host: localhost\r\n folded", 1),
    "a folded line with a name": plain("x").replace(b"Host: localhost", b"Host: localhost\r\n\tContent-Length: 1", 1),
    "a space before the colon": plain("x").replace(b"Content-Length:", b"Content-Length :", 1),
    "a space before the name": plain("x").replace(b"Content-Length:", b" Content-Length:", 1),
    "no colon": plain("x").replace(b"Host: localhost", b"Host", 1),
    "a bare LF": plain("x").replace(b"Host: localhost\r\n", b"Host: localhost\n", 1),
    "a header behind a bare LF": plain("x").replace(b"Host: localhost", b"Host: a\nTransfer-Encoding: chunked", 1),
    "a header behind a bare CR": plain("x").replace(b"Host: localhost", b"Host: a\rTransfer-Encoding: chunked", 1),
    "a NUL in a value": plain("x").replace(b"Host: localhost", b"Host: local\0host", 1),
    "a control in a value": plain("x").replace(b"Host: localhost", b"Host: local\x01host", 1),
    "two hosts": plain("x").replace(b"Host: localhost", b"Host: a\r\nHost: b", 1),
    "two user agents": plain("x", extra=(("User-Agent", "a"), ("User-Agent", "b"))),
    "no host": plain("x").replace(b"Host: localhost\r\n", b"", 1),
    "an empty host": plain("x").replace(b"Host: localhost", b"Host:", 1),
    "an empty line first": b"\r\n" + plain("x"),
    "a body that does not decode": head(*PLAIN, length=1) + b"\xff",
    **{
        f"a length of {length!r}": head(*PLAIN, ("Content-Length", length)) + body("x")
        for length in ("", "-1", "+5", "0x10", "5 5", "5,5", "1e2", "99999999999999999999", "\u0665", "_1", "5\x0b", "007")
    },
}
LONG["files inline"] = (lambda content: head(*PLAIN, length=len(content)) + content)(
    pb.Task.Wasip1.Request(
        info=pb.Task.Metadata(id="mine"), params=pb.Task.Wasip1.Params(binary=pb.File(blob=WASM + b"\0\x02\x01y"))
    ).SerializeToString()
)
LONG["a large body"] = plain("x" * 70_000)


@asynccontextmanager
async def reference(w: World) -> AsyncIterator[str]:
    """aiohttp alone, in front of the same broker."""
    assert w.broker._runner.server is not None
    server = await asyncio.get_running_loop().create_server(w.broker._runner.server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


END = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Closes the connection, unless something before it is still waited for."""


async def all_answers(url: str, data: bytes) -> list[Answer]:
    """All responses to these bytes and, after the first one, to END; a status of 0 stands for the end of the connection."""
    found: list[Answer] = []
    async with connected(url) as c:
        c.write(data)
        try:
            with suppress(TimeoutError):
                found.append(await c.answer(0.3))
            c.write(END)
            while True:
                found.append(await c.answer(2))
        except TimeoutError:
            pass
        except (EOFError, ConnectionError):
            found.append(Answer(0, {}, b"closed"))
    return found


def seen(answers: list[Answer]) -> list[tuple[int, bytes, str | None]]:
    return [(answer.status, answer.content, answer.headers.get("content-type")) for answer in answers]


async def like_aiohttp(w: World, url: str, data: bytes) -> list[Answer]:
    ours, theirs = await asyncio.gather(all_answers(w.broker.url, data), all_answers(url, data))
    assert seen(ours) == seen(theirs)
    return ours


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", LONG)
async def test_everything_else_goes_to_aiohttp(w: World, name: str):
    async with reference(w) as url:
        for answer in await like_aiohttp(w, url, LONG[name]):
            assert not answer.short or not answer.status


SMUGGLED = plain("smuggled")


@pytest.mark.parametrize(
    "data",
    [
        head(*PLAIN, ("Transfer-Encoding", "chunked"), length=5) + b"0\r\n\r\n" + SMUGGLED,
        head(*PLAIN, ("Transfer-Encoding", "chunked"), length=5 + len(SMUGGLED)) + b"0\r\n\r\n" + SMUGGLED,
        head(*PLAIN, ("Transfer-Encoding", "\x0bchunked"), length=0) + SMUGGLED,
        head(*PLAIN, ("Transfer-Encoding ", "chunked"), length=0) + SMUGGLED,
        head(*PLAIN, ("Content-Length", "0"), ("Content-Length", str(len(SMUGGLED)))) + SMUGGLED,
        head(*PLAIN, ("Content-Length", f"0, {len(SMUGGLED)}")) + SMUGGLED,
        head(*PLAIN, ("Content-Length", "-0")) + SMUGGLED,
        head(*PLAIN, ("Content-Length", "+0")) + SMUGGLED,
        head(*PLAIN, ("Content-Length\0", "5"), length=0) + SMUGGLED,
        head(("Host", "x\nContent-Length: 9"), *PLAIN, length=0) + SMUGGLED,
        head(("Host", "x\rContent-Length: 9"), *PLAIN, length=0) + SMUGGLED,
    ],
    ids=range(11),
)
async def test_nothing_is_smuggled(w: World, data: bytes):
    """Whoever reads lengths differently before us must not make us see a request that they don't: as aiohttp, or stricter."""
    async with reference(w) as url:
        first = (await like_aiohttp(w, url, data))[0]
    assert not first.short or not first.status
    assert first.status in (400, 0)


async def test_a_body_longer_than_announced(w: World):
    async with connected(w.broker.url) as c:
        c.write(plain("x") + b"more")
        answer = await c.answer()
        assert (answer.short, answer.status) == (False, 400)
    async with connected(w.broker.url) as c:
        c.write(plain("x"))
        await asyncio.sleep(0.01)
        c.write(b"more\r\n\r\n")
        assert [(await c.answer()).status for _ in range(2)] == [200, 400]


NAMES = ["Host", "User-Agent", "Accept", "Accept-Encoding", "TE", "Connect-Protocol-Version", "Connection", "Content-Type"]
NAMES += ["content-length", "X-Other", "Cookie", "Expect", "Connect-Timeout-Ms", "Content-Encoding", "Transfer-Encoding"]
VALUES = ["", "0", "1", "localhost", "*/*", "gzip", "identity", "keep-alive", "close", "application/proto", "application/json"]
VALUES += ["é"]
VALUES += ["trailers", " 1", "1\t", "2", "APPLICATION/PROTO", "Keep-Alive", "chunked", "100-continue", "5000"]
RACES = {("Connect-Timeout-Ms", value) for value in ("1", " 1", "1\t", "2")}
"""The answer may come before or after so short a time."""
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).filter(lambda it: it not in RACES), max_size=4)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_any_headers_are_answered_as_aiohttp_would(loop: Callable[[], asyncio.AbstractEventLoop]):
    """One broker for all examples, which hypothesis gives one by one."""
    with asyncio.Runner(loop_factory=loop) as runner:
        stack = world()
        w = runner.run(stack.__aenter__())
        aiohttp_alone = reference(w)
        url = runner.run(aiohttp_alone.__aenter__())

        async def prepare() -> None:
            w.serve(await w.provider("who", 4), b"")

        runner.run(prepare())

        @settings(max_examples=150, deadline=None)
        @given(HEADERS, st.sampled_from([PLAIN, PLAIN, PLAIN, PLAIN[:1], PLAIN[1:], []]), st.sampled_from([0, 0, 0, 1, -1]))
        @example([], PLAIN, 0)
        @example([("Connection", "close")], PLAIN, 0)
        @example([("Host", "x")], PLAIN, 0)
        def same(headers: list[tuple[str, str]], base: list[tuple[str, str]], off: int) -> None:
            content = body("x")
            request = head(*headers, *base, length=len(content) + off) + content
            runner.run(like_aiohttp(w, url, request))

        same()
        runner.run(aiohttp_alone.__aexit__(None, None, None))
        runner.run(stack.__aexit__(None, None, None))


# The end


@pytest.mark.parametrize("how", ["abort", "close", "half"])
async def test_a_client_that_goes_away_cancels_its_task(how: str):
    async with world() as w:
        provider = await w.provider()
        async with connected(w.broker.url) as c:
            c.write(plain("a"))
            _, request = await provider.run()
            c.write(plain("b"))
            if how == "abort":
                c.writer.transport.abort()
            elif how == "close":
                c.writer.close()
            else:
                c.writer.write_eof()
            _, cancel = await provider.cancel()
        assert (cancel.id, cancel.reason) == (request.info.id, "the client went away")
        await until(lambda: not w.state.running and not w.broker._door.fronts)


async def test_an_answer_for_a_client_that_is_gone_is_dropped():
    async with world() as w:
        provider = await w.provider()
        async with connected(w.broker.url) as c:
            c.write(plain("a"))
            sequence, request = await provider.run()
            c.writer.transport.abort()
            await provider.answer(sequence, output(request))
        await until(lambda: not w.state.running and w.state.roster.idle)


async def test_a_client_that_never_reads_its_answers_is_served_no_more():
    async with world() as w:
        w.serve(await w.provider(slots=4), bytes(1 << 20))
        async with connected(w.broker.url) as c:
            c.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: w.broker._door.fronts)
            (one,) = w.broker._door.fronts
            while not one._full:
                done = w.state.done
                c.write(plain("a"))
                await until(lambda done=done: w.state.done > done)
                assert w.state.done < 16
            for _ in range(10):
                c.write(plain("b"))
                await asyncio.sleep(0.002)
            assert w.state.done == done + 1
            assert not w.state.running
            c.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(done + 11):
                assert len((await c.answer()).stdout) == 1 << 20


async def test_idle_connections_are_closed_and_busy_ones_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "IDLE_SECONDS", 0.2)
    async with world() as w:
        provider = await w.provider()
        async with connected(w.broker.url) as idle, connected(w.broker.url) as busy, connected(w.broker.url) as deaf:
            busy.write(plain("a"))
            sequence, request = await provider.run()
            assert await asyncio.wait_for(idle.reader.read(), 20) == b""
            await provider.answer(sequence, output(request))
            assert (await busy.answer()).stdout == b"out"
            deaf.writer.transport.abort()
            assert await asyncio.wait_for(busy.reader.read(), 20) == b""
        await until(lambda: not w.broker._door.fronts)


async def test_a_connection_with_unread_answers_does_not_stay_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "IDLE_SECONDS", 0.2)
    async with world() as w:
        w.serve(await w.provider(), bytes(20 << 20))
        async with connected(w.broker.url) as deaf:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            deaf.write(plain("a"))
            await until(lambda: w.state.done == 1)
            await until(lambda: not w.broker._door.fronts)


async def test_a_deadline_counts_though_it_was_set_while_another_passed():
    """The answer of the first lets the second in, in the middle of the broker's looking at deadlines; a third is far away."""

    def by(seconds: float) -> bytes:
        when = Timestamp()
        when.FromNanoseconds(time.time_ns() + int(seconds * 1e9))
        content = task("app", qos=pb.Task.QoS(deadline=when)).SerializeToString()
        return head(*PLAIN, length=len(content)) + content

    async with world() as w, connected(w.broker.url) as far, connected(w.broker.url) as c:
        far.write(by(1000))
        c.write(by(0.3))
        await until(lambda: w.state.waiting == 2)
        c.write(by(0.5))
        assert (await c.answer()).status == 504
        assert (await c.answer()).status == 504


async def test_requests_reach_a_provider_in_the_order_of_their_sequences():
    """Though the answer of one lets in the next, which is assigned before what was decided with that answer is sent."""
    async with world() as w, connected(w.broker.url) as c:
        # However slow this machine makes the first one seem, the third is sent while the second runs.
        w.state.roster.policy = replace(w.state.policy, backlog_seconds=1000.0)
        provider, other = await w.provider(), await w.client()
        c.write(plain("a"))
        first, request = await provider.run()
        await other.request(task("app", "b"))
        await until(lambda: w.state.waiting == 1)
        c.write(plain("c"))
        await asyncio.sleep(0.01)
        await provider.answer(first, output(request))
        found = [await provider.run() for _ in range(2)]
        assert [list(request.params.args) for _, request in found] == [["b"], ["c"]]
        assert first < found[0][0] < found[1][0]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def test_over_tls(certificate: tuple[Path, Path]):
    cert, key = certificate
    context = ssl.create_default_context(cafile=str(cert))
    async with world(http_cert=cert, http_key=key) as w:
        port = w.broker.url.rpartition(":")[2]
        protocols = ["wasimoff_provider_v1_json"]
        ws = await w.http.ws_connect(f"wss://localhost:{port}/api/client/ws", ssl=context, protocols=protocols)
        await ws.send_str('{"sequence": 1, "type": "Request", "payload": {"@type": "x/wasimoff.v1.Ping"}}')
        assert json.loads(await ws.receive_str(timeout=20))["type"] == "Response"
        await ws.close()
        async with connected(f"https://127.0.0.1:{port}", ssl=context, server_hostname="localhost") as c:
            content = task("nothing").SerializeToString()
            request = head(*PLAIN, length=len(content)) + content
            answer = await c.ask(request)
            assert (answer.short, answer.status) == (True, 404)
            c.write(request[:100])
            await asyncio.sleep(0.01)
            assert (await c.ask(request[100:])).status == 404
            assert (await c.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")).content == b"OK"
