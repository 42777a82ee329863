"""The Executor against a peer that really runs what is sent, in processes of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import math
import operator
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from wasimoff import AsyncExecutor, Executor, RemoteError, TaskFailed, UntrustedResult, UsageError
from wasimoff.answers import RemoteTraceback

from .python_peer import PythonPeer, serve_python

FACTOR = 3


class Odd(ValueError):
    """Raised elsewhere, caught here."""


class Peculiar(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def times(x: int, y: int = FACTOR) -> int:
    return x * y


def even(x: int) -> int:
    if x % 2:
        raise Odd(f"{x} is odd")
    return x


def peculiar() -> None:
    raise Peculiar(1, 2)


def forever() -> None:
    while True:
        time.sleep(0.01)


def where() -> str:
    import os

    return os.environ.get("PLACE", "")


class Running:
    """A peer on a thread of its own, for executors that block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.peer: PythonPeer
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()
        assert self._ready.wait(60)

    def _turn(self) -> None:
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with serve_python() as self.peer:
            self._ready.set()
            await self._stop.wait()

    def call(self, function: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(function)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    def close(self) -> None:
        self.call(self._stop.set)
        self._thread.join(60)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()


@pytest.fixture
def peer(running: Running) -> PythonPeer:
    return running.peer


@pytest.fixture
def ex(peer: PythonPeer) -> Iterator[Executor]:
    with Executor(peer.url, max_in_flight=4) as ex:
        yield ex
        ex._cancel(list(ex._open))


def test_submit_gives_a_future_that_wait_and_as_completed_know(ex: Executor) -> None:
    futures = [ex.submit(times, n) for n in range(4)] + [ex.submit(pow, 2, 10), ex.submit(times, 1, y=7)]
    done, open_ = concurrent.futures.wait(futures, timeout=60)
    assert (len(done), open_) == (6, set())
    assert [future.result() for future in futures] == [0, 3, 6, 9, 1024, 7]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, timeout=60)) == [0, 3, 6, 7, 9, 1024]


def test_map_is_ordered_and_chunked(ex: Executor, peer: PythonPeer) -> None:
    assert list(ex.map(times, range(50), itertools.repeat(2), chunksize=20)) == list(range(0, 100, 2))
    assert len(peer.python_tasks) == 3


def test_map_takes_endless_inputs_only_as_they_are_needed(ex: Executor, peer: PythonPeer) -> None:
    taken = []

    def endless() -> Iterator[int]:
        for n in itertools.count():
            taken.append(n)
            yield n

    values = ex.map(times, endless(), chunksize=2, buffersize=3)
    assert len(taken) == 6
    assert list(itertools.islice(values, 7)) == [0, 3, 6, 9, 12, 15, 18]
    assert len(taken) <= 6 + 8
    del values
    assert peer.most_at_once <= 4


def test_no_more_are_in_flight_than_asked_for(ex: Executor, running: Running) -> None:
    peer = running.peer
    peer.hold = asyncio.Event()
    futures = [ex.submit(times, n) for n in range(12)]
    running.until(lambda: peer.now == 4)
    assert "4 in flight, 8 waiting, 0 done, 0 failed" in repr(ex)
    assert repr(futures[0]) == "<RemoteFuture times: sent>"
    assert repr(futures[-1]) == "<RemoteFuture times: waits to be sent>"
    running.call(peer.hold.set)
    assert [future.result(60) for future in futures] == [n * 3 for n in range(12)]
    assert peer.most_at_once == 4
    assert repr(futures[0]) == "<RemoteFuture times: done>"


def test_exceptions_are_of_the_same_type_with_the_remote_traceback(ex: Executor) -> None:
    future = ex.submit(even, 3)
    with pytest.raises(Odd, match="3 is odd") as caught:
        future.result(60)
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert 'raise Odd(f"{x} is odd")' in str(cause)
    assert "test_executor.py" in str(cause)
    assert "<wasimoff>" not in str(cause)
    with pytest.raises(RemoteError, match="Peculiar: 1 and 2") as other:
        ex.submit(peculiar).result(60)
    assert "raise Peculiar(1, 2)" in str(other.value.__cause__)
    with pytest.raises(ZeroDivisionError):
        ex.submit(operator.truediv, 1, 0).result(60)


def test_map_gives_the_values_before_the_one_that_raised(ex: Executor) -> None:
    values = ex.map(even, [0, 2, 4, 5, 6], chunksize=5)
    assert [next(values), next(values), next(values)] == [0, 2, 4]
    with pytest.raises(Odd):
        next(values)


def test_a_running_call_is_cancelled_where_it_runs(ex: Executor, running: Running) -> None:
    future = ex.submit(forever)
    running.until(lambda: running.peer.now == 1 and future.running())
    time.sleep(0.2)
    assert future.cancel()
    running.until(lambda: running.peer.killed == 1)
    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(60)
    assert concurrent.futures.wait([future], timeout=60).done == {future}
    assert repr(future) == "<RemoteFuture forever: cancelled>"


def test_leaving_a_map_early_cancels_the_rest(ex: Executor, running: Running) -> None:
    values = ex.map(times, itertools.count())
    assert next(values) == 0
    del values
    running.until(lambda: running.peer.now == 0)


def test_timeouts(ex: Executor, running: Running) -> None:
    with pytest.raises(TimeoutError):
        list(ex.map(lambda _: forever(), range(2), timeout=0.3))
    running.until(lambda: running.peer.now == 0)
    future = ex.submit(forever)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.1)
    future.cancel()


def test_shutdown_waits_or_cancels(peer: PythonPeer, running: Running) -> None:
    ex = Executor(peer.url, max_in_flight=1)
    futures = [ex.submit(times, n) for n in range(3)]
    ex.shutdown(wait=True)
    assert [future.result(0) for future in futures] == [0, 3, 6]
    with pytest.raises(RuntimeError, match="shutdown"):
        ex.submit(times, 1)
    assert "shut down" in repr(ex)
    peer.hold = asyncio.Event()
    other = Executor(peer.url, max_in_flight=1)
    futures = [other.submit(times, n) for n in range(3)]
    running.until(lambda: futures[0].running())
    other.shutdown(wait=False, cancel_futures=True)
    running.call(peer.hold.set)
    assert futures[0].result(60) == 0
    assert [future.cancelled() for future in futures[1:]] == [True, True]


def test_ctrl_c_does_not_wait(peer: PythonPeer) -> None:
    with pytest.raises(KeyboardInterrupt), Executor(peer.url) as ex:  # noqa: PT012  (what is raised within is the point)
        future = ex.submit(forever)
        raise KeyboardInterrupt
    assert future.cancelled()


def test_large_arguments_are_sent_once(ex: Executor, peer: PythonPeer) -> None:
    big = bytes(200_000)
    text = ex.share({"words": ["x" * 100_000]})
    assert list(ex.map(lambda n, blob, words: (n, len(blob), len(words["words"][0])), range(6), [big] * 6, [text] * 6)) == [
        (n, 200_000, 100_000) for n in range(6)
    ]
    assert peer.uploads == 2
    assert all(len(params.shared) == 2 and len(params.pickle) < 20_000 for params in peer.python_tasks)
    assert repr(text).startswith("<shared dict, 1000")


def test_blobs_that_the_broker_lost_are_sent_again(ex: Executor, peer: PythonPeer) -> None:
    big = bytes(200_000)
    assert ex.submit(len, big).result(60) == 200_000
    peer.blobs.clear()
    assert ex.submit(len, big).result(60) == 200_000
    assert peer.uploads == 2


def test_huge_arguments_go_by_the_storage(ex: Executor, peer: PythonPeer) -> None:
    many = [b"x" * 60_000 for _ in range(50)]
    assert ex.submit(len, many).result(60) == 50
    assert len(peer.python_tasks[-1].pickle) < 20_000


def test_what_cannot_be_sent_is_said_before_anything_is(ex: Executor, peer: PythonPeer) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match=r"<lambda> uses the variable 'lock' .* cannot pickle '_thread.lock' object"):
        ex.submit(lambda: lock)
    with pytest.raises(UsageError, match=r"argument 2 .* can't be sent"):
        ex.submit(times, 1, lock)
    with pytest.raises(UsageError, match="at least 1"):
        ex.map(times, [1], chunksize=0)
    assert peer.python_tasks == []


def test_the_place_is_said_to_the_provider(peer: PythonPeer) -> None:
    with Executor(peer.url, packages=["numpy"], env={"PLACE": "there"}, network=True, timeout=100) as ex:
        assert ex.submit(where).result(60) == "there"
    params = peer.python_tasks[-1]
    assert (list(params.packages), params.network, params.python) == (["numpy"], True, "")
    with pytest.raises(UsageError, match="must be a list"):
        Executor(peer.url, packages="numpy")
    with pytest.raises(UsageError, match="max_in_flight is 0"):
        Executor(peer.url, max_in_flight=0)


def test_a_task_that_fails_is_an_exception_with_its_result(ex: Executor, peer: PythonPeer) -> None:
    peer.refuse = "there is no package 'nonsense'"
    with pytest.raises(TaskFailed, match="no package 'nonsense'") as caught:
        ex.submit(times, 1).result(60)
    assert caught.value.result.provider == "peer"


class Boom:
    def __reduce__(self) -> object:
        return operator.setitem, (PLANTED, "key", "ran")


PLANTED: dict[str, str] = {}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hostile_answer_runs_nothing_here(ex: Executor, peer: PythonPeer, wrapped: bool) -> None:
    answer = pickle.dumps(([pickle.dumps(Boom())], None)) if wrapped else pickle.dumps(Boom())
    peer.forged = pickle.dumps(answer) if wrapped else answer
    with pytest.raises(UntrustedResult):
        ex.submit(times, 1).result(60)
    assert PLANTED == {}


def test_partials_methods_and_decorated_functions(ex: Executor) -> None:
    assert ex.submit(functools.partial(times, y=5), 2).result(60) == 10
    assert list(ex.map(math.sqrt, [4.0, 9.0], chunksize=2)) == [2.0, 3.0]
    assert ex.submit("a-b".split, "-").result(60) == ["a", "b"]


@pytest.fixture
async def aex() -> AsyncIterator[AsyncExecutor]:
    async with serve_python() as peer, AsyncExecutor(peer.url, max_in_flight=4) as ex:
        yield ex


async def test_the_async_twin(aex: AsyncExecutor) -> None:
    assert await aex.submit(times, 2) == 6
    with pytest.raises(Odd):
        await aex.submit(even, 1)
    assert [value async for value in aex.map(times, range(10), chunksize=3)] == [n * 3 for n in range(10)]

    async def numbers() -> AsyncIterator[int]:
        for n in itertools.count():
            yield n

    seen = []
    values = aex.map(even, numbers(), ordered=True)
    with pytest.raises(Odd, match="1 is odd"):  # noqa: PT012
        async for value in values:
            seen.append(value)
    assert seen == [0]
    assert "AsyncExecutor http://" in repr(aex)


async def test_the_async_twin_cancels(aex: AsyncExecutor) -> None:
    task = aex.submit(forever)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await aex.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        aex.submit(times, 1)
