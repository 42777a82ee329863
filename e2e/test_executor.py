"""`wasimoff.Executor` over real tabs: what it is for, and a tab that is killed in the middle of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from e2e.chromium import Tab, Watch
from e2e.processes import PATIENCE, ROOT, BrokerProcess
from wasimoff import Executor

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyodide_provider" / "guest.py").exists(), reason="skipped: the tab of this build runs no Python tasks"
)


class Unlucky(Exception):
    """Raised in a tab, caught here."""


def squared(n: int) -> int:
    return n * n


def slowly(n: int) -> tuple[int, int]:
    return n, sum(range(50_000)) * 0 + n * n


def unlucky(n: int) -> int:
    if n == 13:
        raise Unlucky(n)
    return n


def forever() -> None:
    while True:
        pass


def environment() -> tuple[str, list[int], str]:
    import sys

    return sys.platform, list(sys.version_info[:2]), __name__


@pytest.fixture
def ex(broker: BrokerProcess) -> Iterator[Executor]:
    with Executor(broker.url, max_in_flight=8) as ex:
        yield ex


def test_functions_run_in_a_tab(ex: Executor, broker: BrokerProcess, new_tab: Callable[[], Tab]) -> None:
    new_tab().open(broker.url).lending()
    assert list(ex.map(squared, range(100), chunksize=10)) == [n * n for n in range(100)]
    platform, version, name = ex.submit(environment).result(PATIENCE)
    assert (platform, version, name) == ("emscripten", [3, 14], __name__)
    with pytest.raises(Unlucky, match="13") as caught:
        list(ex.map(unlucky, range(20), chunksize=20))
    assert "raise Unlucky(n)" in str(caught.value.__cause__)
    big = bytes(10**6)
    assert list(ex.map(lambda n, data: n + len(data), range(3), [big] * 3)) == [10**6, 10**6 + 1, 10**6 + 2]


def test_a_running_call_is_cancelled(ex: Executor, broker: BrokerProcess, new_tab: Callable[[], Tab]) -> None:
    new_tab().open(broker.url, workers=1).lending(1)
    future = ex.submit(forever)
    until = time.monotonic() + PATIENCE
    while not future.running():
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(1)
    assert future.cancel()
    assert ex.submit(squared, 7).result(PATIENCE) == 49


def test_a_tab_is_killed_in_the_middle(ex: Executor, broker: BrokerProcess, chromium: Browser) -> None:
    contexts = [chromium.new_context() for _ in range(2)]
    watches = [Watch(context) for context in contexts]
    try:
        tabs = [Tab(context.new_page()).open(broker.url).lending() for context in contexts]
        values = ex.map(slowly, range(1000), chunksize=25)
        got = [next(values) for _ in range(100)]
        tabs[0].crash()
        got.extend(values)
        assert got == [(n, n * n) for n in range(1000)]
        watches[1].check()
    finally:
        for context in contexts:
            context.close()
