"""Python tasks through a broker, in a tab and under Node, beside a fresh `loadPyodide` for each.

    python bench/python_tasks.py [--tasks 60] [--workers 2] [--hosts tab native]

`fresh` starts Pyodide from nothing (in a worker of the same tab; natively in a Node of its own), runs the same script and ends
it: what each task would cost without snapshots. Prints medians from asking to the answer, one task at a time: of trivial tasks
and of those with packages whose first one is over; their ratios; tasks per second with all workers; and what the provider's
processes spend on a task.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from e2e.chromium import Tab, launch
from e2e.processes import ROOT, BrokerProcess, Running
from e2e.python import ask, value

SCRIPT = "sum(range(100))"
PACKAGES = {
    "msgpack": "import msgpack\nlen(msgpack.packb([1, 2]))",
    "pydantic-core": "import pydantic_core\nlen(pydantic_core.to_json([1, 2]))",
}
PAUSE = 2.0
PACKED_PAUSE = 8.0
"""Seconds between two tasks of a median: the next interpreter is ready by then."""
ROUNDS = 5

IN_TAB = """async (script) => {
  const manifest = await (await fetch('/static/vendor/manifest.json')).json();
  const started = performance.now();
  const { loadPyodide } = await import(`/static/vendor/${manifest.pyodide}pyodide.mjs`);
  const pyodide = await loadPyodide({ indexURL: `/static/vendor/${manifest.pyodide}` });
  pyodide.runPython(script);
  return performance.now() - started;
}"""
IN_NODE = f"""
import {{ loadPyodide }} from 'pyodide';
(await loadPyodide()).runPython({SCRIPT!r});
"""


def fresh_in_tab(page: Page, url: str) -> float:
    """Seconds to load Pyodide and run the script, in a page that has its files in the cache and does nothing else."""
    page.goto(f"{url}/run")
    return float(page.evaluate(IN_TAB, SCRIPT)) / 1000


def fresh_in_node() -> float:
    began = time.perf_counter()
    subprocess.run(["node", "--input-type=module", "-e", IN_NODE], cwd=ROOT, check=True)
    return time.perf_counter() - began


@contextmanager
def tab(url: str, workers: int) -> Iterator[tuple[Callable[[], float], Callable[[], float]]]:
    """(a fresh start there, what the host's processes have spent)."""
    with sync_playwright() as playwright:
        context = launch(playwright).new_context()
        Tab(context.new_page()).open(url, workers=workers).lending(workers)
        beside = context.new_page()
        yield lambda: fresh_in_tab(beside, url), lambda: sum(map(spent, browsers(os.getpid())))


@contextmanager
def native(url: str, workers: int) -> Iterator[tuple[Callable[[], float], Callable[[], float]]]:
    running = Running("-m", "pyodide_provider", "--url", url, "--workers", str(workers))
    try:
        running.wait_for("takes Python tasks")
        yield fresh_in_node, lambda: spent(running.process.pid)
    finally:
        running.close()


HOSTS = {"tab": tab, "native": native}


def one(url: str, script: str = SCRIPT, *packages: str) -> float:
    began = time.perf_counter()
    value(ask(url, script=script, packages=packages))
    return time.perf_counter() - began


def spent(pid: int) -> float:
    """Seconds of the processors' time that a process and its children that are over have taken (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def browsers(pid: int) -> Iterator[int]:
    """Chromium's processes below that one, all of whose threads may have children. Threads come and go meanwhile."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in map(int, (thread / "children").read_text().split()):
                    if "chrom" in Path(f"/proc/{child}/cmdline").read_text():
                        yield child
                    yield from browsers(child)


def measure(name: str, tasks: int, workers: int) -> None:
    broker = BrokerProcess()
    try:
        with HOSTS[name](broker.url, workers) as (fresh, spending):
            fresh()
            one(broker.url)
            plain, warm = [], []
            for _ in range(ROUNDS):
                plain.append(fresh())
                time.sleep(PAUSE)
                warm.append(one(broker.url))
                time.sleep(PAUSE)
            loaded, p50 = statistics.median(plain), statistics.median(warm)
            print(f"{name}: fresh loadPyodide p50 {loaded * 1000:.0f} ms")
            print(f"{name}: trivial task p50 {p50 * 1000:.0f} ms, {p50 / loaded:.3f} of fresh", flush=True)
            for package, script in PACKAGES.items():
                with_packages(name, broker.url, package, script)
            before = spending()
            began = time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda _: one(broker.url), range(tasks)))
            rate = tasks / (time.perf_counter() - began)
            cpu = (spending() - before) / tasks * 1000
            print(f"{name}: {rate:.1f} trivial tasks/s with {workers} workers, {cpu:.0f} ms of CPU each", flush=True)
    finally:
        broker.close()


def with_packages(name: str, url: str, package: str, script: str) -> None:
    try:
        first = one(url, script, package)
    except AssertionError as error:
        print(f"{name}: {package}: {str(error)[:200]}")
        return
    time.sleep(PACKED_PAUSE)
    found = []
    for _ in range(ROUNDS):
        # Beside each one a trivial task, for what the machine does otherwise.
        beside = one(url)
        time.sleep(PACKED_PAUSE)
        found.append((one(url, script, package), beside))
        time.sleep(PACKED_PAUSE)
    second, beside = (statistics.median(column) for column in zip(*found, strict=True))
    ratio = f"{second / beside:.2f} of a trivial one"
    print(f"{name}: with {package}: first {first * 1000:.0f} ms, then p50 {second * 1000:.0f} ms, {ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=list(HOSTS))
    given = parser.parse_args()
    for name in given.hosts:
        measure(name, given.tasks, given.workers)


if __name__ == "__main__":
    main()
