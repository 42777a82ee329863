"""Trivial Python tasks through a broker and a tab with two workers, beside a fresh `loadPyodide` for each.

    python bench/python_tasks.py [--tasks 60] [--workers 2]

`fresh` starts Pyodide from nothing in a worker of the same tab, runs the same script and ends it: what each task would cost
without snapshots. Prints tasks per second, the median from asking to the answer of one at a time, and their ratio to `fresh`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from e2e.chromium import Tab, launch
from e2e.processes import BrokerProcess
from e2e.python import ask, value

SCRIPT = "sum(range(100))"
PAUSE = 1.0
"""Seconds between two tasks of the median: the next interpreter is ready by then."""

FRESH = """async (script) => {
  const manifest = await (await fetch('/static/vendor/manifest.json')).json();
  const started = performance.now();
  const { loadPyodide } = await import(`/static/vendor/${manifest.pyodide}pyodide.mjs`);
  const pyodide = await loadPyodide({ indexURL: `/static/vendor/${manifest.pyodide}` });
  pyodide.runPython(script);
  return performance.now() - started;
}"""


def fresh(page: Page, url: str) -> float:
    """Seconds to load Pyodide and run the script, in a page that has its files in the cache and does nothing else."""
    page.goto(f"{url}/run")
    return float(page.evaluate(FRESH, SCRIPT)) / 1000


def one(url: str) -> float:
    began = time.perf_counter()
    assert value(ask(url, script=SCRIPT)) == 4950
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    broker = BrokerProcess()
    try:
        with sync_playwright() as playwright:
            context = launch(playwright).new_context()
            Tab(context.new_page()).open(broker.url, workers=given.workers).lending(given.workers)
            beside = context.new_page()
            fresh(beside, broker.url)
            one(broker.url)
            plain, warm = [], []
            for _ in range(5):
                plain.append(fresh(beside, broker.url))
                time.sleep(PAUSE)
                warm.append(one(broker.url))
                print(f"  fresh {plain[-1] * 1000:5.0f} ms, task {warm[-1] * 1000:5.0f} ms", flush=True)
                time.sleep(PAUSE)
            began = time.perf_counter()
            with ThreadPoolExecutor(given.workers) as pool:
                list(pool.map(lambda _: one(broker.url), range(given.tasks)))
            rate = given.tasks / (time.perf_counter() - began)
    finally:
        broker.close()
    loaded, p50 = statistics.median(plain), statistics.median(warm)
    print(f"fresh loadPyodide: p50 {loaded * 1000:.0f} ms")
    print(f"tab: p50 {p50 * 1000:.0f} ms, {p50 / loaded:.3f} of fresh; {rate:.1f} tasks/s with {given.workers} workers")


if __name__ == "__main__":
    main()
