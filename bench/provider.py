"""WASI tasks per second through a broker and one provider, beside the bare module on the same host in the same run.

    python bench/provider.py [--provider native|browser] [--workers 2] [--seconds 2] [--in-flight 1,8,32] [--work noop,tsp-6]

Broker, provider and this client are processes of their own, on free ports of this machine. CPU is user and system time per
task, of the provider with its workers (with all of Chromium) and of the broker. `bare` runs one compiled module, in as many
processes on wasmtime or workers in Chromium as there are workers: what the machine gives without any of us.

The workers compete with broker and client for the cores; so the ratio to `bare` is taken once more with one worker less than
the machine has cores, as if broker and client were elsewhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import uvloop
from loadgen import Meter, SocketClient

from pyodide_provider.wire import messages_pb2 as pb

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "wasi-apps"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Work:
    """A program and what it is given."""

    binary: bytes
    args: tuple[str, ...]
    stdin: bytes = b""


def tsp(cities: int) -> Work:
    lines = (APPS / "travelling_salesman/cities/germany.csv").read_bytes().splitlines(keepends=True)
    return Work((APPS / "travelling_salesman/tsp.wasm").read_bytes(), ("tsp", "read"), b"".join(lines[: cities + 1]))


def work_named(name: str) -> Work:
    kind, _, cities = name.partition("-")
    if kind == "tsp" and cities.isdigit():
        return tsp(int(cities))
    return Work((APPS / f"testing/{name}.wasm").read_bytes(), (name,))


# Processes.


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for at in found:
        try:
            for task in Path(f"/proc/{at}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it, those that have ended and were waited for as well."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is told to leave at the end, and killed if it does not."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | env, stdout=log, stderr=log)
        try:
            yield process
        except SystemExit:
            log.seek(0)
            sys.stderr.buffer.write(log.read()[-4000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def broker() -> Iterator[tuple[str, int]]:
    """(its address, its process id)"""
    port = free_port()
    settings = {"WASIMOFF_HTTP_LISTEN": f"127.0.0.1:{port}", "WASIMOFF_FILESTORAGE": ":memory:"}
    with running([sys.executable, "-m", "broker"], **settings) as process:
        wait_for(lambda: listens(port), "the broker", process)
        yield f"http://127.0.0.1:{port}", process.pid


def listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


@contextmanager
def native(url: str, workers: int) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "pyodide_provider", "--url", url, "--workers", str(workers), "--cache", cache]
        with running(command) as process:
            yield process.pid


@contextmanager
def browser(url: str, workers: int) -> Iterator[int]:
    """A headless Chromium, as `wasimoff provider --browser` has it."""
    with running(
        [sys.executable, "-m", "wasimoff", "provider", "--browser", "--url", url, "--workers", str(workers)]
    ) as process:
        yield process.pid


PROVIDERS: dict[str, Callable[[str, int], AbstractContextManager[int]]] = {"native": native, "browser": browser}
"""How to start a provider: (broker's address, workers) → context of its process id."""


def wait_for(true: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if true():
                return
        except OSError:
            pass
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"{what} does not start")


def first_answer(url: str, ref: str) -> None:
    """Wait until the provider is up and has run the program once."""
    with urllib.request.urlopen(f"{url}/api/client/run/{ref}", data=b"", timeout=PATIENCE) as answer:
        answer.read()


def upload(url: str, work: Work) -> str:
    with urllib.request.urlopen(f"{url}/api/storage/upload", data=work.binary) as answer:
        return str(answer.read().decode().strip())


# Measurements.


async def through(url: str, work: Work, ref: str, in_flight: int, seconds: float, pids: tuple[int, int]) -> dict[str, float]:
    """Rate, latencies and the CPU per task of provider and broker."""
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=ref), args=work.args)
    if work.stdin:
        params.stdin = work.stdin
    meter = Meter()
    client = SocketClient(pb.Task.Wasip1.Request(params=params), in_flight, meter)
    used: list[list[float]] = []

    def cpu() -> float:
        used.append([cpu_seconds(pid) for pid in pids])
        return used[-1][0]

    await client.connect(int(url.rpartition(":")[2]))
    found = await meter.measure(max(0.7, seconds / 4), seconds, cpu)
    client.close()
    found["broker"] = (used[1][1] - used[0][1]) / found["count"] * 1e6
    return found


def run_bare(work: Work, seconds: float, barrier: Barrier, counts: multiprocessing.Queue[tuple[float, float]]) -> None:
    """Tasks per second, and CPU microseconds per task, of one process that does nothing else."""
    from wasmtime import Engine, Linker, Module, Store, WasiConfig

    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    program = linker.instantiate_pre(Module(engine, work.binary))
    with tempfile.NamedTemporaryFile() as stdin:
        stdin.write(work.stdin)
        stdin.flush()

        def once() -> None:
            config = WasiConfig()
            config.argv = list(work.args)
            config.stdin_file = stdin.name
            config.stdout_file = "/dev/null"
            with Store(engine) as store:
                store.set_wasi(config)
                program.instantiate(store).exports(store)["_start"](store)  # type: ignore[operator]

        once()
        barrier.wait()
        began, used, count = time.perf_counter(), time.process_time(), 0
        while (took := time.perf_counter() - began) < seconds:
            once()
            count += 1
        counts.put((count / took, (time.process_time() - used) / count * 1e6))


def bare_browser(work: Work, workers: int, seconds: float) -> tuple[float, float]:
    from bare_tab import bare_rate

    rate = bare_rate(work.binary, work.args, work.stdin, workers, seconds)
    return rate, workers / rate * 1e6


def bare_native(work: Work, workers: int, seconds: float) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=run_bare, args=(work, seconds, barrier, counts)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [counts.get() for _ in processes]
    return sum(rate for rate, _ in found), sum(used for _, used in found) / workers


BARE: dict[str, Callable[[Work, int, float], tuple[float, float]]] = {"native": bare_native, "browser": bare_browser}
"""(work, workers, seconds) → tasks per second of all workers together, CPU microseconds per task."""


Through = Callable[[int, float], dict[str, float]]
"""(in flight, seconds) → what `through` finds."""


def measure(kind: str, workers: int, in_flights: list[int], options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        url, broker_pid = stack.enter_context(broker())
        provider_pid = stack.enter_context(PROVIDERS[kind](url, workers))
        for name in options.work:
            work = work_named(name)
            ref = upload(url, work)
            first_answer(url, ref)

            def measured(in_flight: int, seconds: float, work: Work = work, ref: str = ref) -> dict[str, float]:
                return uvloop.run(through(url, work, ref, in_flight, seconds, (provider_pid, broker_pid)))

            # All workers have it compiled, and the core knows what it costs.
            measured(workers, 0.5)
            for in_flight in in_flights:
                found = measured(in_flight, options.seconds)
                show(kind, name, str(in_flight), found)
            compare(kind, name, workers, work, measured, options)


def compare(kind: str, name: str, workers: int, work: Work, measured: Through, options: argparse.Namespace) -> None:
    """Alternating, so that what else the machine does hits both; the best of each counts."""
    ours, alone, used = 0.0, 0.0, float("inf")
    for _ in range(options.rounds):
        ours = max(ours, measured(max(options.in_flight), options.seconds)["rate"])
        rate, cpu = BARE[kind](work, workers, options.seconds)
        alone, used = max(alone, rate), min(used, cpu)
    show("bare", name, "", {"rate": alone, "cpu": used})
    print(
        f"{kind} / bare, {name}, {workers} workers on {os.cpu_count()} cores, best of {options.rounds}: "
        f"{ours:.0f} / {alone:.0f} = {ours / alone:.3f}",
        flush=True,
    )


def show(kind: str, name: str, in_flight: str, found: dict[str, float]) -> None:
    cells = [f"{found[key]:{form}}" if key in found else "" for key, form in COLUMNS.values()]
    print(f"{kind:8} {name:7} {in_flight:>9} " + " ".join(f"{cell:>9}" for cell in cells), flush=True)


COLUMNS = {
    "tasks/s": ("rate", ".0f"),
    "p50 ms": ("p50", ".2f"),
    "p99 ms": ("p99", ".2f"),
    "CPU us": ("cpu", ".0f"),
    "broker us": ("broker", ".0f"),
}


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=sorted(PROVIDERS), action="append", help="which ones (default: all)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of measuring ours and bare in turn, for their ratio")
    parser.add_argument("--in-flight", type=numbers, default=[1, 8, 32])
    parser.add_argument("--work", type=lambda text: text.split(","), default=["noop", "tsp-6", "tsp-8", "tsp-10"])
    options = parser.parse_args()
    print(f"{'':8} {'work':7} {'in flight':>9} " + " ".join(f"{column:>9}" for column in COLUMNS))
    for kind in options.provider or PROVIDERS:
        measure(kind, options.workers, options.in_flight, options)
        spare = max(1, (os.cpu_count() or 2) - 1)
        if spare < options.workers:
            measure(kind, spare, [], options)


if __name__ == "__main__":
    main()
