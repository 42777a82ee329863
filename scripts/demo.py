"""The main job on real input: a broker, a native provider and a headless Chromium tab; 32 tasks of `tsp read` across both.

Everything listens on loopback only and is stopped again, whatever happens. Exit code 0 when every task was answered and
both providers took part.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
TSP = ROOT / "wasi-apps" / "travelling_salesman"
PATIENCE = 90.0


class Process:
    """A part of the demo, in a process group of its own, its output kept for the case that something goes wrong."""

    def __init__(self, name: str, arguments: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            env=env, cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def check(self) -> None:
        """Exit with its words when it has ended."""
        if self._process.poll() is not None:
            sys.exit(f"{self.name} ended with {self._process.returncode}:\n{self.words()}")

    def words(self) -> str:
        return os.pread(self._log.fileno(), 1 << 16, 0).decode("utf-8", "replace")

    def stop(self) -> None:
        """Ask, wait, and in the end insist."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not end by itself", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (urllib.error.URLError, ConnectionError):
        return {"providers": []}


def wait_for_providers(url: str, count: int, processes: list[Process]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for process in processes:
            process.check()
        ready = [p for p in status(url)["providers"] if p["standing"] == "ready" and p["concurrency"]]
        if len(ready) >= count:
            for provider in ready:
                print(f"  {provider['name']}: {provider['concurrency']} workers, {provider['engine']}")
            return
        time.sleep(0.1)
    sys.exit("the providers did not come:\n" + "\n".join(f"--- {p.name}\n{p.words()}" for p in processes))


def wasimoff(url: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "wasimoff", "--broker", url, *arguments], cwd=ROOT, check=False).returncode


def main() -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="wasimoff-demo-"))
        env = os.environ | {"WASIMOFF_HTTP_LISTEN": f"localhost:{port}", "WASIMOFF_FILESTORAGE": data}

        def start(name: str, *arguments: str) -> Process:
            process = Process(name, ["-m", *arguments], env)
            stack.callback(process.stop)
            return process

        print(f"Starting a broker at {url}, a native provider and a browser tab ...", flush=True)
        broker = start("the broker", "broker")
        while not status(url).get("version"):
            broker.check()
            time.sleep(0.05)
        provider = ("wasimoff", "--broker", url, "provider", "--workers", "1")
        native = start("the native provider", *provider, "--name", "native")
        tab = start("the browser provider", *provider, "--browser", "--name", "tab")
        wait_for_providers(url, 2, [broker, native, tab])

        print("Uploading tsp.wasm:", flush=True)
        cities = sorted(str(path.relative_to(ROOT)) for path in (TSP / "cities").glob("*.csv"))
        failed = wasimoff(url, "upload", str(TSP / "tsp.wasm"), "--name", "tsp")
        failed = failed or wasimoff(url, "job", "--binary", "tsp", "--arg", "read", "--each-stdin", *cities)
        parts = status(url)["providers"]
        for part in parts:
            print(f"{part['name']} ({part['engine']}) answered {part['done']} tasks")
    if failed:
        sys.exit(failed)
    if any(not part["done"] for part in parts):
        sys.exit("one of the providers did not take part")
    print("Everything is stopped again. To go on: make serve, then open http://localhost:4080")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
