"""Real processes for tests: started on a free port, waited for, ended by the pid we started, their output kept."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wasimoff import Client

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "wasi-apps"
TESTING = APPS / "testing"
TSP = APPS / "travelling_salesman" / "tsp.wasm"
PATIENCE = 60.0


class Running:
    """A process of ours in a session of its own, so that it can be ended with all that it started."""

    def __init__(self, *arguments: str, environ: dict[str, str] | None = None) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, *arguments]
        self.process = subprocess.Popen(
            command, stdout=self._output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd=ROOT, env={**os.environ, **(environ or {})}, start_new_session=True,
        )  # fmt: skip

    @property
    def output(self) -> str:
        return os.pread(self._output.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """The first match of a pattern in the output; AssertionError with all of it when there is none in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := re.search(pattern, self.output):
                return found
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output}"
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in {seconds:.0f} s:\n{self.output}")

    def ask_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code. AssertionError with the output when it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in {seconds:.0f} s:\n{self.output}") from None

    def kill(self) -> None:
        """End it at once, and what is left of its session."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._output.close()


def wait_for_running(client: Client, count: int = 1) -> None:
    """Until the broker has so many tasks at providers."""
    until = time.monotonic() + PATIENCE
    while client.status().running < count:
        assert time.monotonic() < until, f"{count} tasks do not start: {client.status()}"
        time.sleep(0.02)


class BrokerProcess:
    """`python -m broker` on a free port of loopback."""

    def __init__(self, listen: str = "127.0.0.1:0", environ: dict[str, str] | None = None) -> None:
        settings = {"WASIMOFF_FILESTORAGE": ":memory:", "WASIMOFF_DRAIN_SECONDS": "1", **(environ or {})}
        self._running = Running("-m", "broker", "--http-listen", listen, environ=settings)
        self.port = int(self._running.wait_for(r" at https?://[^ ]*:(\d+)")[1])
        self.url = f"http://localhost:{self.port}"

    @property
    def output(self) -> str:
        return self._running.output

    @property
    def pid(self) -> int:
        return self._running.process.pid

    def restart(self) -> None:
        """Kill it and start another in its place: what was in its memory is gone."""
        listen = f"127.0.0.1:{self.port}"
        self._running.close()
        self.__init__(listen)  # type: ignore[misc]

    def kill(self) -> None:
        self._running.kill()

    def close(self) -> None:
        self._running.close()
