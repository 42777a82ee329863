"""The contract, on child processes with wasmtime."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.provider.native.rig import BlobServer, Rig, rig

from . import programs as p
from .cases import CASES, LIMITS, Case
from .differences import hold

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    server = BlobServer()
    try:
        async with rig(tmp_path_factory.mktemp("contract"), server.url, **LIMITS) as made:
            await made.start()
            yield made
    finally:
        server.close()


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
async def test_contract(slot: Rig, name: str, case: Case) -> None:
    hold(name, case, await slot.run(case.params), "native")


@pytest.mark.skipif(p.GO is None, reason="skipped: Go 1.22 or newer is not installed, so the cases in Go are left out")
async def test_there_are_cases_in_go() -> None:
    assert any(name.startswith("go: ") for name, _ in CASES)
