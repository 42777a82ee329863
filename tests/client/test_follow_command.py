"""`wasimoff run -f` and `-i`: streams come while the task runs, what is typed reaches it, exit codes are the same."""

from __future__ import annotations

import asyncio
import os
import pty

import pytest

from pyodide_provider.wire import codec
from wasimoff import exits

from .command import WASIMOFF, environment, start, wasimoff
from .peer import Link, Peer, Request, ok
from .test_following import answers_lines, writes
from .test_websocket import failing, until


async def test_follow_prints_as_it_comes(peer: Peer) -> None:
    gate = asyncio.Event()
    peer.answer = writes(b"one\n", b"\xff\n", gate=gate, status=3)  # type: ignore[assignment]
    process = await start("run", "-f", "x", broker=peer.url)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readexactly(6) == b"one\n\xff\n"
        gate.set()
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (3, b"", b"ONE\n\xff\n")


async def test_follow_prints_nothing_twice_when_the_connection_is_lost(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        await link.wrote(sequence, b"abc" if len(peer.tasks) == 1 else again)
        if len(peer.tasks) == 1:
            await link.wrote(sequence, b"", b"!")
            await asyncio.sleep(1)
            link.drop()
        else:
            await link.send(codec.response(sequence, ok(request, again + b"d", stderr=b"!")))

    peer.answer, again = answer, b"abc"
    ended = await wasimoff("run", "-f", "x", broker=peer.url)
    assert (ended.code, ended.out, ended.err) == (0, b"abcd", "!")
    again = b"aX"
    peer.tasks.clear()
    ended = await wasimoff("run", "-f", "x", broker=peer.url)
    assert (ended.code, ended.out) == (0, b"abcaXd")
    assert ended.err.startswith("!wasimoff: the task was begun again and wrote something else")


async def test_follow_over_http_prints_at_the_end_with_a_note(peer: Peer) -> None:
    ended = await wasimoff("run", "-f", "--http", "x", "a", broker=peer.url)
    assert (ended.code, ended.out) == (0, b"x a")
    assert ended.err == "wasimoff: over HTTP the output comes when the task has ended\n"


async def test_follow_tells_why_a_task_failed(peer: Peer) -> None:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        await link.wrote(sequence, b"before\n")
        response = ok(request)
        response.error = "unreachable"
        await link.send(codec.response(sequence, response))

    peer.answer = answer
    ended = await wasimoff("run", "-f", "--usage", "x", broker=peer.url)
    assert (ended.code, ended.out) == (exits.NO_STATUS, b"before\n")
    assert ended.err == "wasimoff: the task failed: unreachable (at peer)\nused: not told\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-f --json", "--json prints the result when the task has ended"),
        ("-i --json", "--json prints the result when the task has ended"),
        ("-i --stdin x", "does not go with --stdin"),
        ("-i --http", "needs a WebSocket"),
    ],
)
async def test_options_that_do_not_go_together(peer: Peer, options: str, words: str) -> None:
    ended = await wasimoff("run", *options.split(), "x", broker=peer.url)
    assert ended.code == exits.USAGE
    assert words in ended.err
    assert peer.tasks == []


async def test_what_is_piped_in_piece_by_piece_reaches_the_task(peer: Peer) -> None:
    peer.answer, peer.heard = lambda link, sequence, request: None, answers_lines
    process = await start("run", "-i", "x", broker=peer.url, stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            assert await process.stdout.readline() == line
        process.stdin.close()
        assert await process.wait() == 0
    assert await process.stdout.read() == b""
    assert peer.inputs[-1].end


async def test_nothing_to_read_is_the_end_of_stdin(peer: Peer) -> None:
    peer.answer, peer.heard = lambda link, sequence, request: None, answers_lines
    assert (await wasimoff("run", "-i", "x", broker=peer.url)).code == 0
    assert [(event.stdin, event.end) for event in peer.inputs] == [(b"", True)]


async def test_at_a_terminal_the_command_ends_with_the_task(peer: Peer) -> None:
    """Nobody types any more; the thread that waits for a key must not keep the command from ending."""

    async def quits(link: Link, event: object) -> None:
        await link.send(codec.response(1, ok(peer.tasks[0], b"bye\n")))

    peer.answer, peer.heard = lambda link, sequence, request: None, quits
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *WASIMOFF, "run", "-i", "x", env=environment(peer.url), stdin=slave, stdout=asyncio.subprocess.PIPE
    )
    os.close(slave)
    try:
        await until(lambda: peer.tasks)
        os.write(master, b"quit\n")
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"bye\n")
        assert peer.inputs[0].stdin == b"quit\n"
    finally:
        os.close(master)


async def test_no_provider_for_it_is_said_in_the_brokers_words(peer: Peer) -> None:
    peer.answer = failing("failed_precondition: no provider takes interactive tasks")  # type: ignore[assignment]
    ended = await wasimoff("run", "-i", "x", broker=peer.url)
    assert ended.code == exits.NO_STATUS
    assert "no provider takes interactive tasks" in ended.err
    peer.extension = False
    ended = await wasimoff("run", "-i", "x", broker=peer.url)
    assert ended.code == exits.REFUSED
    assert "takes no interactive tasks" in ended.err


async def test_why_a_task_waits_is_told_when_it_is_talked_to(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    note = "1 tasks wait for a provider that offers interactive: none is connected"
    peer.status = {"queue": {"note": note}}
    process = await start("run", "-i", "x", broker=peer.url, stdin=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    async with asyncio.timeout(60):
        line = await process.stderr.readline()
        assert line.startswith(
            b"wasimoff: nothing came yet; the broker says: 1 tasks wait for a provider that offers interactive"
        )
        process.terminate()
        await process.communicate()
    assert process.returncode == exits.TERMINATED
