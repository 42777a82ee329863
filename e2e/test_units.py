"""What can be tested of the JavaScript without a browser: its modules under Node, its types."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

from e2e.processes import ROOT


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_modules() -> None:
    run("node", "--test", "e2e/units/")


def test_types() -> None:
    run("node", "node_modules/typescript/bin/tsc", "--project", "static/js/tsconfig.json")


def test_a_second_build_finds_nothing_to_do() -> None:
    run("node", "scripts/build_static.mjs")
    assert run("node", "scripts/build_static.mjs") == ""


def test_a_file_that_is_missing_is_built_again() -> None:
    manifest = ROOT / "static/vendor/manifest.json"
    before = manifest.read_text()
    directory = ROOT / "static/vendor" / json.loads(before)["wasi"]
    moved = directory.with_name("moved-away")
    directory.rename(moved)
    try:
        run("node", "scripts/build_static.mjs")
        assert (directory / "worker.js").read_bytes() == (moved / "worker.js").read_bytes()
        assert gzip.decompress((directory / "worker.js.gz").read_bytes()) == (moved / "worker.js").read_bytes()
        assert manifest.read_text() == before
    finally:
        shutil.rmtree(moved)
