"""Python in the tab comes from a memory snapshot; where that does not fit, it starts all the same and says so."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from e2e.chromium import Tab, Watch
from e2e.processes import TESTING, BrokerProcess
from wasimoff import Client

WITHOUT = "without its memory snapshot"


def test_the_page_starts_from_the_snapshot(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    fetched: list[str] = []
    tab.page.context.on("request", lambda request: fetched.append(request.url.rpartition("/")[2]))
    tab.open(broker.url).lending()
    assert client.run(TESTING / "noop.wasm").ok
    assert WITHOUT not in tab.log
    assert "python.zip" not in fetched, "what the snapshot holds is not fetched again"


@pytest.mark.parametrize("answer", ["missing", "garbage", "cut off"])
def test_without_a_snapshot_that_fits(broker: BrokerProcess, client: Client, tab: Tab, watch: Watch, answer: str) -> None:
    def spoil(route: Route) -> None:
        if answer == "missing":
            route.fulfill(status=404)
        elif answer == "garbage":
            route.fulfill(body=b"x" * 100_000)
        else:
            route.fulfill(body=route.fetch().body()[:1_000_000])

    watch.expected.append("404")
    tab.page.context.route("**/snapshot.bin", spoil)
    tab.open(broker.url).lending()
    expect(tab.page.locator("#notices")).to_contain_text(WITHOUT)
    assert WITHOUT in tab.log
    assert client.run(TESTING / "noop.wasm").ok


def test_the_address_may_ask_for_a_plain_start(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url, snapshot="no").lending()
    assert WITHOUT in tab.log
    assert client.run(TESTING / "noop.wasm").ok
