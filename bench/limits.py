"""How long after its limit a program is stopped: from asking to the answer, without what a like one takes that stays below it.

    python bench/limits.py [--times 10] [--hosts native tab] [--load 0] [--only NAME]

Milliseconds: the least, the median and the most of some in a row. The like one of threads starts as many as may run at once;
others are compared with a no-op, so that what they need to reach their limit counts. `again` is the longest until a no-op
behind it was answered. With `--load N`, as many processes as that compute all the while.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from e2e.chromium import launch
from e2e.hosts import KINDS, lending
from e2e.processes import TESTING, BrokerProcess
from tests.contract.bombs import BOMBS
from tests.contract.thread_programs import threaded, times
from wasimoff import Client, Limits

NOOP = (TESTING / "noop.wasm").read_bytes()
PATIENCE = 60.0


@dataclass(frozen=True)
class Case:
    bomb: bytes
    limits: Limits
    usual: bytes = NOOP
    """What takes as long as the bomb until it's at its limit, of time apart, and ends."""


def bomb(name: str) -> Case:
    binary, limits, _ = BOMBS[name]
    return Case(binary, Limits(**{key: most for key, most in asdict(limits).items() if most}))


def fork(thread: str, most: int = 64) -> Case:
    """Of threads that do this; `most` may run at once."""
    start = "(call $start (i32.const 1))"
    return Case(
        threaded(thread, times(10_000, start)),
        Limits(threads=most),
        threaded(thread, f"{times(most - 1, start)} (call $proc_exit (i32.const 0))"),
    )


RETURNS = "(if (i32.eq (local.get $id) (i32.const 1)) (then (return)))"
CASES = {
    "an endless loop": Case((TESTING / "spin.wasm").read_bytes(), Limits(wall=0.25)),
    "10 000 threads that wait": fork("(call $forever)"),
    "10 000 threads, one of them returns": fork(f"{RETURNS} (call $forever)"),
    "10 000 threads that compute": fork("(call $spin)"),
    "the same, up to 256 at once": fork("(call $spin)", 256),
    **{name: bomb(name) for name in BOMBS},
}


@contextmanager
def load(count: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(client: Client, case: Case, rounds: int) -> tuple[list[float], list[float]]:
    """(milliseconds over the limit, milliseconds until a no-op behind it is answered)."""
    noop, bomb, usual = (client.upload(program) for program in (NOOP, case.bomb, case.usual))
    over, again = [], []
    for _ in range(rounds):
        expected = min(timed(client, noop, usual, case.limits)[0] for _ in range(2)) + (case.limits.wall or 0)
        took, error = timed(client, noop, bomb, case.limits)
        assert "limit exceeded" in error, error
        over.append((took - expected) * 1000)
        again.append(timed(client, "", noop, Limits())[0] * 1000)
    return over, again


def timed(client: Client, before: str, ref: str, limits: Limits) -> tuple[float, str]:
    """Seconds that a program takes, and what is wrong with it; there is a free slot once that before it is answered."""
    if before:
        client.run(before, timeout=PATIENCE)
    began = time.perf_counter()
    result = client.run(ref, limits=limits, timeout=PATIENCE)
    return time.perf_counter() - began, result.error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--hosts", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        chromium, broker = launch(playwright), BrokerProcess()
        try:
            for kind in given.hosts:
                with lending(kind, broker.url, chromium), Client(broker.url) as client, load(given.load):
                    print(f"{kind:44}{'least':>8}{'median':>8}{'most':>8}{'again':>8}")
                    for name, case in CASES.items():
                        if given.only in name:
                            over, again = measure(client, case, given.times)
                            row = min(over), statistics.median(over), max(over), max(again)
                            print(f"{name:44}" + "".join(f"{value:8.0f}" for value in row), flush=True)
        finally:
            chromium.close()
            broker.close()


if __name__ == "__main__":
    main()
