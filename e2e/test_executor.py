"""`wasimoff.Executor` over real tabs: what it is for, and a tab that is killed in the middle of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from e2e.chromium import Tab, Watch
from e2e.processes import PATIENCE, ROOT, BrokerProcess
from wasimoff import Client, Executor


class Unlucky(Exception):
    """Raised in a tab, caught here."""


def squared(n: int) -> int:
    return n * n


def slowly(n: int) -> tuple[int, int]:
    time.sleep(0.02)
    return n, n * n


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


@contextmanager
def browsers(chromium: Browser, count: int) -> Iterator[list[BrowserContext]]:
    """So many people's browsers: of one browser's tabs one lends."""
    contexts = [chromium.new_context() for _ in range(count)]
    try:
        yield contexts
    finally:
        for context in contexts:
            context.close()


def test_a_tab_is_killed_in_the_middle(ex: Executor, broker: BrokerProcess, chromium: Browser) -> None:
    with browsers(chromium, 2) as contexts:
        watch = Watch(contexts[1])
        tabs = [Tab(context.new_page()).open(broker.url).lending() for context in contexts]
        values = ex.map(slowly, range(1000), chunksize=25)
        got = [next(values) for _ in range(100)]
        tabs[0].crash()
        got.extend(values)
        assert got == [(n, n * n) for n in range(1000)]
        watch.check()


def installed(folder: Path) -> Path:
    """The library as `pip install` of a checkout leaves it, without what it needs."""
    checkout, site = folder / "wasimoff", folder / "site"
    checkout.mkdir()
    for name in ("broker", "pyodide_provider", "wasimoff"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(checkout)], check=True, timeout=120)
    return site


def test_the_tutorial_over_three_tabs(broker: BrokerProcess, chromium: Browser, tmp_path: Path) -> None:
    """docs/python.md's job, as it stands there, with the library as it is installed."""
    example = (ROOT / "docs" / "python.md").read_text().split("<!-- example: pi -->\n```python\n")[1].split("```")[0]
    file = tmp_path / "pi.py"
    file.write_text(f"{example}\nprint(wasimoff.__file__)\n".replace("http://localhost:4080", broker.url))
    environ = {**os.environ, "PYTHONPATH": str(installed(tmp_path))}
    with browsers(chromium, 3) as contexts:
        for context in contexts:
            Tab(context.new_page()).open(broker.url, workers=1).lending(1)
        done = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, env=environ, timeout=150, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("pi is about 3.14")
        assert str(tmp_path / "site") in done.stdout
        with Client(broker.url) as client:
            assert all(provider.done for provider in client.status().providers)
