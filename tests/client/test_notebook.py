"""In a notebook: a real kernel runs the cells; what they show is kept with them, and is HTML."""

from __future__ import annotations

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient

from wasimoff.notebook import table
from wasimoff.result import SHOWN, Result
from wasimoff.status import parse

from .stack import ROOT
from .test_executor import Running, running  # noqa: F401  (a fixture)

CELLS = [
    "import wasimoff\nclient = wasimoff.Client({url!r})\nclient",
    "def half(n):\n    return n // (n % 3)\n\nex = wasimoff.Executor({url!r}, progress=True)\n"
    "[future.exception() is None for future in [ex.submit(half, n) for n in range(3)]]",
    "ex.shutdown()\nex",
    "wasimoff.Result(status=3, stderr=b'<b>no</b>', label='seven')",
]


@pytest.fixture
def shown(running: Running, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:  # noqa: F811
    """What each cell shows at its end, by media type; several outputs of a cell are joined."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.format(url=running.peer.url)) for cell in CELLS])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    found = []
    for cell in notebook.cells:
        assert not [output for output in cell.outputs if output.output_type == "stream"], cell.outputs
        kinds: dict[str, str] = {}
        for output in cell.outputs:
            for kind, text in output.data.items():
                kinds[kind] = kinds.get(kind, "") + text
        found.append(kinds)
    return found


def test_what_cells_show(shown: list[dict[str, str]]) -> None:
    client, progress, executor, result = shown
    assert client["text/plain"].startswith("<wasimoff.Client http://")
    assert "[False, True, True]" in progress["text/plain"]
    assert re.search(r'<progress value="3" max="3"', progress["text/html"]), progress
    assert progress["text/html"].count("<progress") == 1, "it is drawn in one place"
    assert "1 failed" in progress["text/html"]
    assert "shut down" in executor["text/plain"]
    assert "Result seven: failed" in result["text/html"]
    assert "&lt;b&gt;no&lt;/b&gt;" in result["text/html"], "what a program writes is text"


def test_a_long_output_is_shown_in_part() -> None:
    shown = Result(status=0, stdout=b"x" * 100_000)._repr_html_()
    assert len(shown) < SHOWN + 2000
    assert "100000 bytes in all" in shown


def test_a_status_names_who_lends() -> None:
    provider = {"name": "<tab>", "engine": "Chromium 1", "concurrency": 4, "running": 1, "done": 7}
    shown = parse({"version": "1", "providers": [provider], "queue": {"note": "no provider"}})._repr_html_()
    assert "&lt;tab&gt; (Chromium 1): 1 of 4 slots busy, 7 done" in shown
    assert "no provider" in shown


def test_a_table_leaves_out_what_is_empty() -> None:
    assert "<th" not in table("t", {"a": "", "b": None, "c": 0})
