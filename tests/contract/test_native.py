"""The contract, on child processes with wasmtime."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.provider.native.rig import BlobServer, Rig, rig

from .cases import CASES, LIMITS, Case, check

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


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES])
async def test_contract(slot: Rig, case: Case) -> None:
    check(case, await slot.run(case.params))
