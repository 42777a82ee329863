"""`wasimoff provider --browser`: a real Chromium that nobody looks at, started, killed, ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from e2e.processes import PATIENCE, TESTING, BrokerProcess, Running, wait_for_running
from e2e.trees import command, descendants, wait_until_gone
from wasimoff import Client, Task

BOOT = 40.0


@pytest.fixture
def launch(broker: BrokerProcess) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*more: str, url: str = broker.url) -> Running:
        started.append(Running("-m", "wasimoff", "provider", "--browser", "--url", url, "--workers", "2", *more))
        return started[-1]

    yield start
    for running in started:
        print(running.output)
        running.close()


def up(running: Running, times: int = 1) -> None:
    running.wait_for(f"(?s)(connected to the broker.*){{{times}}}", BOOT)


def renderers(running: Running) -> list[int]:
    return [pid for pid in descendants(running.process.pid) if "--type=renderer" in command(pid)]


def test_it_runs_tasks_and_ends_when_asked(launch: Callable[..., Running], client: Client) -> None:
    running = launch()
    up(running)
    assert client.run(TESTING / "noop.wasm").ok
    below = descendants(running.process.pid)
    assert below
    running.ask_to_end()
    assert running.wait() == 0
    assert wait_until_gone(below) == []
    assert client.status().providers == ()


def test_what_runs_is_finished_first(launch: Callable[..., Running], client: Client) -> None:
    running = launch()
    up(running)
    assert client.run(TESTING / "busy.wasm", ["1", "warm"]).ok
    future = client.submit(Task(TESTING / "busy.wasm", ["1500", "whole"]))
    wait_for_running(client)
    running.ask_to_end()
    result = future.result(PATIENCE)
    assert (result.text, result.attempt) == ("done whole\n", 1)
    assert running.wait() == 0


def test_a_second_signal_ends_it_at_once(launch: Callable[..., Running], client: Client) -> None:
    running = launch()
    up(running)
    client.submit(Task(TESTING / "spin.wasm"))
    wait_for_running(client)
    below = descendants(running.process.pid)
    running.ask_to_end()
    running.wait_for("finishing what runs")
    running.process.send_signal(signal.SIGINT)
    assert running.wait(10) == 130
    assert wait_until_gone(below) == []


def test_nothing_is_left_when_it_is_killed(launch: Callable[..., Running]) -> None:
    running = launch()
    up(running)
    below = descendants(running.process.pid)
    assert len(below) > 3
    running.process.kill()
    assert wait_until_gone(below) == []


def test_a_crashed_tab_is_opened_again(launch: Callable[..., Running], client: Client) -> None:
    running = launch()
    up(running)
    for pid in renderers(running):
        os.kill(pid, signal.SIGKILL)
    up(running, times=2)
    assert "the tab crashed" in running.output
    assert client.run(TESTING / "noop.wasm").ok


def test_a_killed_browser_is_started_again(launch: Callable[..., Running], client: Client) -> None:
    running = launch()
    up(running)
    browser = next(
        pid for pid in descendants(running.process.pid) if "--headless" in command(pid) and "--type=" not in command(pid)
    )
    os.kill(browser, signal.SIGKILL)
    up(running, times=2)
    assert client.run(TESTING / "noop.wasm").ok


def test_a_broker_that_is_away_is_waited_for(launch: Callable[..., Running], broker: BrokerProcess) -> None:
    broker.kill()
    running = launch()
    running.wait_for("can't be loaded: ERR_CONNECTION_REFUSED; opening it again", BOOT)
    broker.restart()
    up(running)
