"""The executor's bar: drawn on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from .stack import ROOT
from .test_executor import Running, running  # noqa: F401  (a fixture)

SCRIPT = """
import sys
import wasimoff

def half(n):
    return n // (n % 3)

if __name__ == "__main__":
    with wasimoff.Executor(sys.argv[1], progress=True) as ex:
        print([future.exception() is None for future in [ex.submit(half, n) for n in range(3)]])
"""


def test_a_bar_on_a_terminal(running: Running, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "job.py"
    file.write_text(SCRIPT)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-W", "error", str(file), running.peer.url]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 4096):
            drawn += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"[False, True, True]\n")
    text = drawn.decode()
    assert "3/3" in text
    assert "1 failed" in text


def test_none_where_nobody_sees_it(running: Running, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "job.py"
    file.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(file), running.peer.url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, env=env, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
