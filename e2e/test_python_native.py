"""Python tasks under Node: what is so only there. What both hosts have in common is in test_python_tasks and _hostile."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.processes import PATIENCE, BrokerProcess, Running, wait_for_running
from e2e.python import ask, value
from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import Client, Executor


@contextmanager
def lending(url: str, *more: str, environ: dict[str, str] | None = None) -> Iterator[Running]:
    arguments = ("--url", url, "--workers", "2", "--name", "native", *more)
    running = Running("-m", "pyodide_provider", *arguments, environ=environ)
    try:
        yield running
    finally:
        print(running.output)
        running.close()


@pytest.fixture
def provider(broker: BrokerProcess) -> Iterator[Running]:
    with lending(broker.url) as running:
        running.wait_for("takes Python tasks, under Node v")
        yield running


def nodes(parent: int) -> list[int]:
    """The processes of interpreters that this provider has."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() in ("node", "MainThread"):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent and fields[0] != "Z":
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_it_is_announced_and_shown(provider: Running, client: Client) -> None:
    until(lambda: "pyodide" in client.status().providers[0].offers, "it is not announced")
    (shown,) = client.status().providers
    assert "Node " in shown.engine
    assert "pyodide-network" not in shown.offers


def test_it_can_be_turned_off(broker: BrokerProcess, client: Client) -> None:
    with lending(broker.url, "--python", "off") as running:
        running.wait_for("2 of 2 workers ready")
        assert "pyodide" not in client.status().providers[0].offers
        assert "Python tasks" not in running.output


def test_without_node_it_says_so_and_does_the_rest(broker: BrokerProcess, client: Client, tmp_path: Path) -> None:
    with lending(broker.url, environ={"PATH": str(tmp_path)}) as running:
        running.wait_for("no Python tasks: there is no Node here")
        until(lambda: len(client.status().providers) == 1, "it is not there")
        assert "pyodide" not in client.status().providers[0].offers


def test_where_nothing_can_be_compiled_beforehand_it_does_without(
    broker: BrokerProcess, client: Client, tmp_path: Path
) -> None:
    node = tmp_path / "node"
    node.write_text(f'#!/bin/sh\ncase "$*" in *"--no-liftoff -e"*) exit 3; esac\nexec {shutil.which("node")} "$@"\n')
    node.chmod(0o755)
    with lending(broker.url, environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as running:
        running.wait_for("takes Python tasks, under Node v")
        assert value(ask(broker.url, script="6 * 7")) == 42


def test_functions_run_there(provider: Running, broker: BrokerProcess) -> None:
    with Executor(broker.url, max_in_flight=8) as ex:
        assert list(ex.map(lambda n: n * n, range(40), chunksize=10)) == [n * n for n in range(40)]
        shared = ex.share(list(range(100_000)))
        assert ex.submit(sum, shared).result(PATIENCE) == 4_999_950_000
        with pytest.raises(ZeroDivisionError):
            ex.submit(lambda: 1 / 0).result(PATIENCE)


def test_a_process_that_is_killed_is_an_error_of_its_task_alone(
    provider: Running, broker: BrokerProcess, client: Client
) -> None:
    value(ask(broker.url, script="1"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, broker.url, script="while True: pass")
        wait_for_running(client)
        until(lambda: busy(provider.process.pid), "it does not compute")
        for pid in nodes(provider.process.pid):
            os.kill(pid, signal.SIGKILL)
        assert "Python died: its process was ended by SIGKILL" in asked.result(PATIENCE).error
    assert value(ask(broker.url, script="2")) == 2


def test_memory_beside_pythons_own_has_a_limit(provider: Running, broker: BrokerProcess) -> None:
    script = "import js\nkept = []\nwhile True:\n    kept.append(js.Uint8Array.new(1 << 26).fill(1))"
    limits = pb.Task.Limits(memory=256 << 20, files=1 << 20, output=1 << 20, wall_ms=30_000)
    response = ask(broker.url, script=script, limits=limits)
    assert response.error
    assert "time limit" not in response.error
    assert value(ask(broker.url, script="2")) == 2


def test_a_task_that_wants_the_network_waits_for_who_gives_it(provider: Running, broker: BrokerProcess, client: Client) -> None:
    value(ask(broker.url, script="1"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, broker.url, script="1", network=True)
        until(lambda: client.status().waiting == 1, "it does not wait")
        time.sleep(0.2)
        assert client.status().running == 0
        broker.kill()
        with pytest.raises(OSError, match=r".*"):
            asked.result(PATIENCE)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_interpreter_outlives_its_provider(provider: Running, broker: BrokerProcess, client: Client, how: int) -> None:
    value(ask(broker.url, script="1"))
    pid = provider.process.pid
    until(lambda: bool(nodes(pid)), "no spare")
    children = nodes(pid)
    provider.process.send_signal(how)
    provider.wait()
    until(lambda: not any(alive(child) for child in children), "there are interpreters still")


def test_a_cancelled_task_ends_its_interpreter(provider: Running, broker: BrokerProcess, client: Client) -> None:
    value(ask(broker.url, script="1"))
    with Executor(broker.url) as ex:
        future = ex.submit(eval, "[0 for _ in iter(int, 1)]")
        wait_for_running(client)
        until(lambda: busy(provider.process.pid), "it does not compute")
        future.cancel()
        until(lambda: not busy(provider.process.pid), "it computes still")
    assert value(ask(broker.url, script="2")) == 2


def busy(parent: int) -> bool:
    """Whether one of its interpreters computes, longer than starting takes."""
    return any(ticks(pid) > 150 for pid in nodes(parent))


def ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
