"""Tabs and workers that go away in the middle: no task is lost, none is answered twice."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Worker

from e2e.chromium import Tab
from e2e.conftest import Lent
from e2e.processes import APPS, PATIENCE, TESTING, BrokerProcess, Running, wait_for_running
from wasimoff import Client, Task

BUSY = TESTING / "busy.wasm"
SPIN = TESTING / "spin.wasm"


@pytest.fixture
def native(broker: BrokerProcess) -> Iterator[Running]:
    """A provider without a browser, up."""
    running = Running("-m", "pyodide_provider", "--url", broker.url, "--workers", "2", "--name", "native")
    running.wait_for("connected")
    yield running
    print(running.output)
    running.close()


@pytest.fixture
def other_tab(chromium: Browser, broker: BrokerProcess) -> Iterator[Tab]:
    """A tab of another person: another context has locks of its own."""
    context = chromium.new_context()
    yield Tab(context.new_page())
    context.close()


def test_a_tab_is_closed_in_mid_task(broker: BrokerProcess, client: Client, tab: Tab, other_tab: Tab) -> None:
    other_tab.open(broker.url, workers=0, name="second").wait(link="connected")
    tab.open(broker.url, name="first").lending()
    future = client.submit(Task(BUSY, ["5000", "moved"]))
    wait_for_running(client)
    other_tab.page.get_by_role("button", name="One worker more").click()
    other_tab.lending(1)
    tab.close()
    result = future.result(PATIENCE)
    assert (result.text, result.provider, result.attempt) == ("done moved\n", "second", 2)


def test_a_tab_crashes_in_mid_task_and_a_native_provider_takes_over(
    broker: BrokerProcess, client: Client, tab: Tab, request: pytest.FixtureRequest
) -> None:
    tab.open(broker.url).lending()
    future = client.submit(Task(BUSY, ["5000", "moved"]))
    wait_for_running(client)
    request.getfixturevalue("native")
    tab.crash()
    result = future.result(PATIENCE)
    assert (result.text, result.provider, result.attempt) == ("done moved\n", "native", 2)


def test_a_reload_in_mid_task(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url).lending()
    future = client.submit(Task(BUSY, ["2000", "again"]))
    wait_for_running(client)
    tab.page.reload()
    result = future.result(PATIENCE)
    assert (result.text, result.attempt) == ("done again\n", 2)


def test_tabs_come_and_go_during_a_job(
    broker: BrokerProcess, client: Client, new_tab: Callable[[], Tab], other_tab: Tab
) -> None:
    other_tab.open(broker.url).lending()
    tasks = [Task(BUSY, ["20", str(number)]) for number in range(200)]
    results = []
    for result in client.run_many(tasks, in_flight=16):
        results.append(result)
        if len(results) in (20, 120):
            tab = new_tab().open(broker.url)
        if len(results) in (100, 180):
            tab.close()
    assert sorted(result.text for result in results) == sorted(f"done {number}\n" for number in range(200))


def test_a_cancelled_task_frees_its_worker(lent: Lent) -> None:
    future = lent.client.submit(Task(SPIN))
    wait_for_running(lent.client)
    future.cancel()
    assert lent.client.run(TESTING / "noop.wasm").ok
    lent.tab.lending()
    until(lambda: len(wasi_workers(lent.tab)) == 2, lent.tab, "the endless loop is still there")


def test_a_deadline_ends_an_endless_loop(lent: Lent) -> None:
    results = [lent.client.run(SPIN, deadline=1.0) for _ in range(3)]
    assert {result.code for result in results} == {"deadline_exceeded"}
    assert lent.client.run(TESTING / "noop.wasm").ok
    lent.tab.lending()


def test_a_worker_that_dies_is_replaced(lent: Lent) -> None:
    until(lambda: len(wasi_workers(lent.tab)) == 2, lent.tab, "killed workers are still there")
    for worker in wasi_workers(lent.tab):
        worker.evaluate("void setTimeout(() => { throw new Error('planted'); }, 100)")
    until(lambda: lent.tab.log.count("planted") >= 2, lent.tab, "nobody noticed")
    lent.tab.lending()
    assert lent.client.run(TESTING / "noop.wasm").ok


def test_fewer_workers_while_one_is_busy(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url, workers=2).lending(2)
    futures = [client.submit(Task(BUSY, ["3000", str(number)])) for number in range(2)]
    wait_for_running(client, 2)
    tab.page.get_by_role("button", name="One worker fewer").click()
    assert sorted(future.result(PATIENCE).text for future in futures) == ["done 0\n", "done 1\n"]
    tab.lending(1)


def test_stopping_gives_back_what_runs(broker: BrokerProcess, client: Client, tab: Tab, other_tab: Tab) -> None:
    other_tab.open(broker.url, workers=0, name="second").wait(link="connected")
    tab.open(broker.url).lending()
    future = client.submit(Task(BUSY, ["5000", "given back"]))
    wait_for_running(client)
    other_tab.page.get_by_role("button", name="One worker more").click()
    other_tab.lending(1)
    tab.page.get_by_role("button", name="Stop").click()
    result = future.result(PATIENCE)
    assert (result.text, result.provider) == ("done given back\n", "second")


def test_the_same_bytes_in_the_tab_and_natively(broker: BrokerProcess, client: Client, tab: Tab, native: Running) -> None:
    cities = next((APPS / "travelling_salesman" / "cities").iterdir()).read_bytes()
    tab.open(broker.url).lending()
    tasks = [Task(APPS / "travelling_salesman" / "tsp.wasm", ["read"], stdin=cities) for _ in range(40)]
    results = list(client.run_many(tasks, in_flight=16))
    assert len({result.provider for result in results}) == 2, "both took part"
    assert len({result.stdout for result in results}) == 1
    assert results[0].ok
    os.kill(native.process.pid, signal.SIGTERM)
    assert native.wait() == 0
    assert not re.search("Traceback", native.output)


def wait_for_workers(tab: Tab, count: int) -> None:
    """Until the browser has told of those that were ended, which it does a little later."""
    until = time.monotonic() + PATIENCE
    while len(wasi_workers(tab)) != count:
        assert time.monotonic() < until, f"{len(wasi_workers(tab))} workers live, {count} should"
        tab.page.wait_for_timeout(50)


def until(true: Callable[[], bool], tab: Tab, otherwise: str) -> None:
    """Wait for something that the page tells nobody; it goes on meanwhile."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{otherwise}: {tab.log}"
        tab.page.wait_for_timeout(50)


def wasi_workers(tab: Tab) -> list[Worker]:
    return [worker for worker in tab.page.workers if "/wasi-" in worker.url]
