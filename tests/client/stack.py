"""The real thing: a broker process and native provider processes, as users start them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from wasimoff import Client, Provider

from .command import environment

ROOT = Path(__file__).parents[2]
APPS = ROOT / "wasi-apps"
TSP = APPS / "travelling_salesman" / "tsp.wasm"
CITIES = sorted((APPS / "travelling_salesman" / "cities").glob("*.csv"))
HELLO = APPS / "helloworld" / "helloworld-rust.wasm"
TESTING = APPS / "testing"


class Process:
    """One of ours, with all it writes; stopped by its pid."""

    def __init__(self, *arguments: str, broker: str | None = None) -> None:
        command = [sys.executable, "-m", "wasimoff", *arguments]
        self._process = subprocess.Popen(
            command, env=environment(broker), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.pid = self._process.pid
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line.decode("utf-8", "replace")

    def wait_for(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output)):
            assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{self.output}"
            assert time.monotonic() < end, f"no {pattern!r} within {seconds} s:\n{self.output}"
            time.sleep(0.02)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Signal it and wait; gives the exit code."""
        if self._process.poll() is None:
            os.kill(self.pid, number)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
            raise
        finally:
            self._reader.join(5)
            assert self._process.stdout is not None
            self._process.stdout.close()
        return code


class Stack:
    """A broker and the providers that were asked for; a context manager that leaves nothing running."""

    def __init__(self, *options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wasimoff-test-")
        self.folder = Path(self._folder.name)
        self._options = options
        self.providers: list[Process] = []
        self.broker = self._start_broker("127.0.0.1:0")

    def _start_broker(self, listen: str) -> Process:
        data = str(self.folder / "data")
        broker = Process("broker", "--http-listen", listen, "--filestorage", data, "--drain-seconds", "2", *self._options)
        self.url = broker.wait_for(r"at (http://\S+)").group(1)
        return broker

    def restart_broker(self, number: signal.Signals) -> None:
        """Stop it in the given way, start another one at the same address."""
        port = self.url.rpartition(":")[2]
        self.broker.stop(number)
        self.broker = self._start_broker(f"127.0.0.1:{port}")

    def provider(self, name: str, workers: int = 2) -> Process:
        """Start a provider and wait until it takes tasks."""
        cache = ("--cache", str(self.folder / "cache"))
        process = Process("provider", "--workers", str(workers), "--name", name, *cache, broker=self.url)
        self.providers.append(process)
        self.wait(lambda ready: any(p.name == name and p.concurrency == workers for p in ready))
        return process

    def wait(self, condition: object, seconds: float = 30) -> None:
        """Until the condition holds for the list of providers that the broker shows."""
        end = time.monotonic() + seconds
        with Client(self.url) as client:
            while not condition(list(client.status().providers)):  # type: ignore[operator]
                assert time.monotonic() < end, f"did not happen:\n{self.broker.output}\n{self.providers[-1].output}"
                time.sleep(0.05)

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.providers, self.broker):
            process.stop(signal.SIGKILL)
        self._folder.cleanup()


def idle(providers: list[Provider]) -> bool:
    """Nobody runs anything."""
    return all(provider.running == 0 for provider in providers)
