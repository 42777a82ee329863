"""Programs of WASI's preview 0, as far as it is not the contract (tests/contract/unstable.py)."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.core.run import Failed
from pyodide_provider.native.unstable import renamed
from tests.contract import programs as p
from tests.contract.unstable import EVERYTHING, FD_WRITE, function

from .rig import params, rig


async def test_what_neither_has_is_named(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.start()
        outcome = await made.run(params(p.wat(f'(module {function("fd_wrong", "")} (func (export "_start")))')))
        assert isinstance(outcome, Failed)
        assert outcome.error == "unknown import: wasi_unstable.fd_wrong (function)"


def test_all_kinds_of_imports_are_passed_over() -> None:
    imports = (
        '(import "env" "t" (table 1 funcref)) (import "env" "u" (table 1 300 externref))'
        ' (import "env" "m" (memory 1 300)) (import "env" "g" (global (mut i64)))'
    )
    wasm = p.wat(f"(module {imports} {FD_WRITE} {imports})")
    assert renamed(wasm) == p.wat(f"(module {imports} {p.FD_WRITE} {imports})")
    assert renamed(p.wat("(module)")) == p.wat("(module)")


@given(st.data())
def test_a_damaged_module_is_left_to_the_compiler(data: st.DataObject) -> None:
    damaged = bytearray(EVERYTHING)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    assert isinstance(renamed(bytes(damaged[:cut])), bytes)
