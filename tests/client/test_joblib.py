"""joblib's own examples, run by a peer."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections.abc import Iterator
from heapq import nlargest
from math import modf, sqrt

import pytest
from joblib import Parallel, delayed, parallel_config

import wasimoff.joblib_backend  # noqa: F401  (registers itself)
from wasimoff import UsageError

from .python_peer import PythonPeer
from .test_executor import Running, even, peer, running  # noqa: F401  (fixtures)


@pytest.fixture(autouse=True)
def _wasimoff(peer: PythonPeer) -> Iterator[None]:  # noqa: F811
    with parallel_config(backend="wasimoff", url=peer.url, n_jobs=2):
        yield


def test_the_first_example(peer: PythonPeer) -> None:  # noqa: F811
    assert Parallel(n_jobs=2)(delayed(sqrt)(i**2) for i in range(10)) == [float(i) for i in range(10)]
    assert peer.python_tasks


def test_several_outputs() -> None:
    assert Parallel(n_jobs=2)(delayed(modf)(i / 2.0) for i in range(4)) == [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0), (0.5, 1.0)]


def test_batches_are_tasks(peer: PythonPeer) -> None:  # noqa: F811
    assert len(Parallel(n_jobs=2, batch_size=5)(delayed(sqrt)(i) for i in range(20))) == 20
    assert 4 <= len(peer.python_tasks) < 20


def test_generators_and_reuse() -> None:
    with Parallel(n_jobs=2, return_as="generator") as parallel:
        assert list(parallel(delayed(sqrt)(i**2) for i in range(3))) == [0.0, 1.0, 2.0]
        assert list(parallel(delayed(sqrt)(i**2) for i in range(3))) == [0.0, 1.0, 2.0]


def test_results_as_they_come() -> None:
    results = Parallel(n_jobs=2, return_as="generator_unordered")(delayed(sqrt)(i**2) for i in range(6))
    assert sorted(results) == [float(i) for i in range(6)]


def test_one_pool_for_several_rounds() -> None:
    with Parallel(n_jobs=2, batch_size=5) as parallel:
        accumulator, rounds = 0.0, 0
        while accumulator < 100:
            accumulator += sum(parallel(delayed(sqrt)(accumulator + i**2) for i in range(5)))
            rounds += 1
    here, again = 0.0, 0
    while here < 100:
        here += sum(sqrt(here + i**2) for i in range(5))
        again += 1
    assert (accumulator, rounds) == (pytest.approx(here), again)


def test_inputs_are_produced_as_they_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    def producer() -> Iterator[int]:
        for i in range(6):
            print(f"Produced {i}")
            yield i

    found = Parallel(n_jobs=2, verbose=100, pre_dispatch="1.5*n_jobs")(delayed(sqrt)(i) for i in producer())
    assert found == [sqrt(i) for i in range(6)]
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert any("Done   6 out of   6" in line for line in lines)
    assert lines.index("Produced 5") > next(number for number, line in enumerate(lines) if "Done   1 tasks" in line)


def test_shared_memory_is_asked_for_and_joblib_uses_threads(peer: PythonPeer) -> None:  # noqa: F811
    seen: set[int] = set()
    Parallel(n_jobs=2, require="sharedmem")(delayed(seen.add)(i) for i in range(5))
    assert seen == set(range(5))
    assert not peer.python_tasks


def test_the_example_of_a_traceback() -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        Parallel(n_jobs=2)(delayed(nlargest)(2, n) for n in (range(4), "abcde", 3))


def test_exceptions_come_through_and_end_it(peer: PythonPeer) -> None:  # noqa: F811
    with pytest.raises(ValueError, match="1 is odd"):
        Parallel(n_jobs=2, batch_size=1)(delayed(even)(i) for i in itertools.chain(range(2), itertools.repeat(0, 500)))
    assert len(peer.python_tasks) < 100


def test_what_cannot_be_sent_is_said() -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="can't be sent: cannot pickle"):
        Parallel(n_jobs=2)(delayed(id)(lock) for _ in range(2))
    with pytest.raises(UsageError, match="can't be sent: cannot pickle"):
        Parallel(n_jobs=2, batch_size=1)(delayed(id)(n if n < 20 else lock) for n in range(30))


def test_timeouts(running: Running) -> None:  # noqa: F811
    with pytest.raises(multiprocessing.TimeoutError):  # joblib's own
        Parallel(n_jobs=2, timeout=0.3)(delayed(time.sleep)(30) for _ in range(2))
    running.until(lambda: running.peer.now == 0)


def test_nested_in_threads(peer: PythonPeer) -> None:  # noqa: F811
    def outer(n: int) -> list[float]:
        with parallel_config(backend="wasimoff", url=peer.url, n_jobs=2):
            return list(Parallel()(delayed(sqrt)(i**2) for i in range(n)))

    assert Parallel(n_jobs=2, backend="threading")(delayed(outer)(n) for n in (2, 3)) == [[0.0, 1.0], [0.0, 1.0, 2.0]]
