"""The docs say what there is: every option, every exit code, and examples that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import wasimoff
from wasimoff import errors, exits
from wasimoff.cli import COMMANDS
from wasimoff.commands import prototype

from .stack import ROOT, Stack

COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text()
LIBRARY = (ROOT / "docs" / "client.md").read_text()


def section(name: str) -> str:
    return COMMAND_LINE.split(f"## wasimoff {name}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    command = getattr(import_module(f"wasimoff.commands.{COMMANDS[name]}"), f"{name}_command")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}" in section(name), f"{parameter.opts[0]} of wasimoff {name}"


def test_every_exit_code_is_documented() -> None:
    for code, meaning in exits.MEANINGS.items():
        assert f"| {code} | {meaning} |" in COMMAND_LINE


def test_every_flag_of_the_prototype_is_documented() -> None:
    text = COMMAND_LINE.split("## The flags of the prototype")[1]
    for name in prototype.COMMANDS | prototype.SETTINGS:
        assert f"`-{name}" in text


def test_the_tree_of_errors_is_that_of_the_module() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.partition("\n\n")[2].strip()
    assert tree in LIBRARY
    for name in wasimoff.__all__:
        if issubclass(getattr(wasimoff, name), Exception):
            assert re.search(rf"\b{name} ", tree) or name == "WasimoffError"


def test_every_field_and_method_is_documented() -> None:
    for cls in (wasimoff.Client, wasimoff.Result, wasimoff.Task):
        for name in dir(cls):
            if not name.startswith("_") and name not in ("url", "argv", "binary", "pickle", "mro"):
                assert re.search(rf"`[^`]*\b{name}\b[^`]*`", LIBRARY), f"{cls.__name__}.{name}"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", LIBRARY, re.DOTALL))
def test_the_examples_run(stack: Stack, code: str) -> None:
    environ = {**os.environ, "WASIMOFF_BROKER": stack.url}
    code = code.replace("http://localhost:4080", stack.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "native" in done.stdout
    assert "route " in done.stdout


def test_the_job_file_in_the_docs_runs(stack: Stack, tmp_path: Path) -> None:
    (found,) = re.findall(r"```json\n(.*?)```", COMMAND_LINE, re.DOTALL)
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.json").write_text(found)
    apps = ROOT / "wasi-apps" / "travelling_salesman"
    (folder / "tsp.wasm").symlink_to(apps / "tsp.wasm")
    (folder / "cities").symlink_to(apps / "cities")
    command = [sys.executable, "-m", "wasimoff", "job", "--broker", stack.url, str(folder / "job.json")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  route ") == 3
