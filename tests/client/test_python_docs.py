"""docs/python.md: its examples run, and say what it says they say."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wasimoff

from .stack import ROOT
from .test_executor import Running, running  # noqa: F401  (a fixture)

TEXT = (ROOT / "docs" / "python.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", TEXT, re.DOTALL))
SAYS = {
    "pi": r"pi is about 3\.1[34]\d\n",
    "errors": r"(?=.*sorry: 1 is odd)(?=.*sorry: 3 is odd)(?=.*half: 0)(?=.*half: 1)",
    "joblib": r"\[0\.0, 1\.0, .*9\.0\]\n",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run(running: Running, name: str, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "example.py"
    file.write_text(EXAMPLES[name].replace("http://localhost:4080", running.peer.url))
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(SAYS[name], done.stdout, re.DOTALL), done.stdout


def test_every_argument_and_method_is_documented() -> None:
    for name in inspect.signature(wasimoff.Executor).parameters:
        if name not in ("python", "transport", "patience"):
            assert re.search(rf"`[^`]*\b{name}\b", TEXT), name
    for name in ("submit", "map", "submit_batch", "share", "shutdown"):
        assert f"ex.{name}(" in TEXT
