"""The tab's host gives every call of WASI the same answer as wasmtime: the same scripts on both, compared line by line."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from wasmtime import Engine, ExitTrap, Linker, Module, Store, Trap, WasiConfig, WasmtimeError

from e2e.probe.scripts import random_script
from e2e.processes import ROOT
from pyodide_provider.native import slashes

PROBE = ROOT / "e2e/probe"
DIRECTED = (PROBE / "directed.txt").read_text().split("\n\n")


def on_wasmtime(scripts: list[str]) -> list[str]:
    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    beside = slashes.define(engine, linker)
    module = Module.from_file(engine, str(PROBE / "probe.wasm"))
    printed = []
    for script in scripts:
        beside.forget()
        printed.append(_run(linker, module, script))
    return printed


def _run(linker: Linker, module: Module, script: str) -> str:
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as streams, Store(linker.engine) as store:
        stdin, stdout = Path(streams, "in"), Path(streams, "out")
        stdin.write_text(script)
        config = WasiConfig()
        config.argv = ["probe"]
        config.stdin_file, config.stdout_file = str(stdin), str(stdout)
        config.preopen_dir(root, "/")
        store.set_wasi(config)
        start = linker.instantiate(store, module).exports(store)["_start"]
        try:
            start(store)  # type: ignore[operator]
        except ExitTrap:
            raise
        except (Trap, WasmtimeError) as stop:
            return re.sub(r"^\s*\d+: ", "", str(stop).strip().splitlines()[-1])
        return stdout.read_text()


def in_the_tab(scripts: list[str]) -> list[str]:
    done = subprocess.run(
        ["node", "e2e/probe/tab.mjs"],
        cwd=ROOT,
        input=json.dumps(scripts),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    printed: list[str] = json.loads(done.stdout)
    return printed


def compare(scripts: list[str]) -> None:
    for script, native, tab in zip(scripts, on_wasmtime(scripts), in_the_tab(scripts), strict=True):
        assert "->" in native or len(script.splitlines()) <= 2, native
        pairs = zip(native.splitlines(), tab.splitlines(), strict=False)
        differing = next((pair for pair in pairs if pair[0] != pair[1]), (native[-200:], tab[-200:]))
        assert native == tab, "wasmtime: {}\nthe tab:  {}\nin\n{}".format(*differing, script)


def test_calls_in_turn() -> None:
    assert sum(script.count("\n") for script in DIRECTED) > 400
    compare(DIRECTED)


@pytest.mark.parametrize("seed", range(4))
def test_random_calls(seed: int) -> None:
    compare([random_script(1000 * seed + number, 80) for number in range(100)])
