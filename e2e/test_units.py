"""What can be tested of the JavaScript without a browser: its modules under Node, its types."""

from __future__ import annotations

import subprocess

from e2e.processes import ROOT


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_modules() -> None:
    run("node", "--test", "e2e/units/")


def test_types() -> None:
    run("node", "node_modules/typescript/bin/tsc", "--project", "static/js/tsconfig.json")


def test_what_is_served_is_built_from_these_sources() -> None:
    """A second build finds nothing to do."""
    before = (ROOT / "static/vendor/manifest.json").read_text()
    run("node", "scripts/build_static.mjs")
    assert (ROOT / "static/vendor/manifest.json").read_text() == before
