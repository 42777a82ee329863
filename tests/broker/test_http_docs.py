"""docs/http.md names every route and every code, and none that there isn't."""

from __future__ import annotations

import re
from pathlib import Path

from broker.app import Broker
from broker.errors import HTTP_STATUS
from broker.run_api import MAX_HEADER
from broker.settings import Settings
from broker.values import Address

DOCS = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


async def test_the_routes_of_the_broker_are_those_of_the_document():
    broker = Broker(Settings(http_listen=Address("127.0.0.1", 0), filestorage=None, metrics=True))
    await broker.start()
    try:
        served = {
            f"{route.method} {route.resource.canonical}"
            for route in broker._runner.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
    finally:
        await broker.stop()
    assert served == set(re.findall(r"^\| `((?:GET|POST) /[^`]*)` \|", DOCS, re.MULTILINE))


def test_the_codes_of_the_document_are_those_of_the_broker():
    told = {code: int(status) for code, status in re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", DOCS, re.MULTILINE)}
    assert len(told) > 5
    assert told.items() <= HTTP_STATUS.items()


def test_numbers_in_the_document():
    assert f"more than {MAX_HEADER * 3 // 4:,} bytes".replace(",", " ") in DOCS
