"""The synchronous client: same names, same results, from plain threads and from inside a running loop."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

import pytest

import wasimoff
from wasimoff import BrokerUnavailable, Client, Task, UsageError, WasimoffError

from .conftest import WASM
from .peer import Link, Peer, Request, echo


@pytest.fixture
def peer(in_thread_peer: Peer) -> Peer:
    return in_thread_peer


def until(condition: object, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


def test_run_upload_status(peer: Peer) -> None:
    with Client(peer.url) as client:
        assert client.run("x", ["1"]).text == "x 1"
        assert client.upload(WASM) in peer.blobs
        assert client.status().version == "peer"
        assert client.submit(Task("x", ["2"])).result(5).text == "x 2"


@pytest.mark.parametrize("ordered", [False, True])
def test_run_many(peer: Peer, ordered: bool) -> None:
    with Client(peer.url) as client:
        results = list(client.run_many((Task("x", [str(n)]) for n in range(500)), in_flight=50, ordered=ordered))
    assert len(results) == 500
    assert {r.index: r.text for r in results} == {n: f"x {n}" for n in range(500)}
    if ordered:
        assert [r.index for r in results] == list(range(500))


@pytest.mark.parametrize(("ordered", "most"), [(False, 10), (True, 40)])
def test_run_many_takes_its_inputs_slowly(peer: Peer, ordered: bool, most: int) -> None:
    taken = 0

    def inputs() -> Iterator[Task]:
        nonlocal taken
        while True:
            taken += 1
            yield Task("x", [str(taken)])

    with Client(peer.url) as client:
        results = client.run_many(inputs(), in_flight=10, ordered=ordered)
        for given in range(200):
            next(results)
            assert taken - given <= most
        results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("ordered", [False, True])
def test_run_many_puts_results_in_order_only_when_asked(peer: Peer, ordered: bool) -> None:
    held: list[tuple[Link, int, Request]] = []

    async def first_comes_last(link: Link, sequence: int, request: Request) -> None:
        if request.params.args[1] == "0":
            held.append((link, sequence, request))
            return
        await echo(link, sequence, request)
        if request.params.args[1] == "12":
            await echo(*held[0])

    peer.answer = first_comes_last
    with Client(peer.url) as client:
        results = list(client.run_many((Task("x", [str(n)]) for n in range(30)), in_flight=4, ordered=ordered))
    indices = [result.index for result in results]
    assert sorted(indices) == list(range(30))
    assert (indices == sorted(indices)) is ordered
    assert all(result.text == f"x {result.index}" for result in results)


@pytest.mark.parametrize("ordered", [False, True])
def test_run_many_has_so_many_in_flight(peer: Peer, ordered: bool) -> None:
    peer.answer = lambda link, sequence, request: None
    client = Client(peer.url)
    results = client.run_many((Task("x", [str(n)]) for n in range(30)), in_flight=4, ordered=ordered)

    def consume() -> None:
        with pytest.raises(WasimoffError, match="closed"):
            list(results)

    thread = threading.Thread(target=consume)
    thread.start()
    until(lambda: len(peer.tasks) >= 4)
    time.sleep(0.2)
    assert len(peer.tasks) == 4
    client.close()
    thread.join(5)
    assert not thread.is_alive()


def test_leaving_run_many_cancels_the_rest(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: echo(link, sequence, request) if request.params.args[1] == "0" else None
    with Client(peer.url) as client:
        for result in client.run_many((Task("x", [str(n)]) for n in range(100)), in_flight=8):
            assert result.index == 0
            break
        gc.collect()
        until(lambda: len(peer.cancels) == len(peer.tasks) - 1)


def test_a_handle_cancels_on_the_broker(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    with Client(peer.url) as client:
        handle = client.submit(Task("x"))
        until(lambda: peer.tasks)
        assert handle.cancel()
        until(lambda: peer.cancels == [peer.tasks[0].info.id])
        with pytest.raises(CancelledError):
            handle.result(1)


async def test_inside_a_running_loop(peer: Peer) -> None:
    """As in Jupyter, where a loop runs in the thread that calls."""
    with Client(peer.url) as client:
        assert client.run("x").ok
        assert len(list(client.run_many([Task("x")] * 10))) == 10


def test_from_several_threads(peer: Peer) -> None:
    with Client(peer.url) as client, ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(client.run, "x", [str(n)]) for n in range(100)]
        assert {f.result().text for f in as_completed(futures)} == {f"x {n}" for n in range(100)}
    assert peer.connections == 1


def test_closing(peer: Peer) -> None:
    before = threading.active_count()
    client = Client(peer.url)
    assert client.run("x").ok
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(UsageError, match="closed"):
        client.run("x")
    with pytest.raises(UsageError, match="closed"):
        client.submit(Task("x"))


WAITS: dict[str, Callable[[Client], object]] = {
    "run": lambda client: client.run(b"\0asm"),
    "run_many": lambda client: list(client.run_many([Task(b"\0asm")] * 3)),
    "follow": lambda client: list(client.follow(Task(b"\0asm"))),
    "upload": lambda client: client.upload(b"\0asm"),
    "status": lambda client: client.status(),
}


@pytest.mark.parametrize("call", WAITS)
def test_closing_ends_what_other_threads_wait_for(call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}")
        waiting = threads.submit(WAITS[call], client)
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            client.close()
            with pytest.raises(UsageError, match="this client is closed"):
                waiting.result(10)


def test_a_fork_is_told_to_make_a_client_of_its_own(peer: Peer) -> None:
    code = f"""
import os, wasimoff
client, executor = wasimoff.Client({peer.url!r}), wasimoff.Executor({peer.url!r})
client.run("x")
child = os.fork()
if not child:
    for ask in (client.status, lambda: executor.submit(pow, 2, 2)):
        try:
            ask()
        except wasimoff.UsageError as error:
            print(error, flush=True)
    executor.shutdown()
    client.close()
    with wasimoff.Client({peer.url!r}) as own:
        print(own.run("x").ok, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(client.run("x").ok)
client.close()
executor.shutdown()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    told = b"this client was made before a fork: make another one in each process\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told * 2 + b"True\nTrue\n", b"")


def test_a_forgotten_client_ends_its_thread(peer: Peer) -> None:
    before = threading.active_count()
    client = Client(peer.url)
    assert client.run("x").ok
    del client
    gc.collect()
    until(lambda: threading.active_count() == before)


def test_the_interpreter_ends_though_a_client_is_open_and_waits(peer: Peer) -> None:
    peer.answer = lambda link, sequence, request: None
    code = f"import wasimoff; c = wasimoff.Client({peer.url!r}); h = c.submit(wasimoff.Task('x'))\nimport time; time.sleep(0.5)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    until(lambda: peer.cancels == [peer.tasks[0].info.id])


def test_errors_come_through(unused_tcp_port: int) -> None:
    with Client(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(BrokerUnavailable, match="connection refused"):
            client.run("x")
        with pytest.raises(BrokerUnavailable):
            list(client.run_many([Task("x")]))
        with pytest.raises(UsageError, match="in_flight"):
            client.run_many([], in_flight=0)
    with pytest.raises(UsageError, match="not the URL"):
        Client("ftp://x")
    with pytest.raises(UsageError, match="transport"):
        Client(transport="pigeon")  # type: ignore[arg-type]


def test_both_clients_have_the_same_names() -> None:
    def public(cls: type) -> set[str]:
        return {name for name in dir(cls) if not name.startswith("_")} | {"url"}

    assert public(wasimoff.AsyncClient) - {"status_document"} == public(wasimoff.Client)
