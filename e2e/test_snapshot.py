"""Python in the tab comes from a memory snapshot; where that does not fit, it starts all the same and says so."""

from __future__ import annotations

import time

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
    assert not [name for name in fetched if name.endswith(".whl")], "what the snapshot holds is not fetched again"


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


KEPT = """async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('wasimoff-start', { create: true });
  const sizes = {};
  for await (const [name, handle] of folder) sizes[name.split('~').at(-1)] = (await handle.getFile()).size;
  return sizes;
}"""
SPOIL = """async ([ending, text]) => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('wasimoff-start');
  for await (const [name, handle] of folder) {
    if (!name.endsWith(ending)) continue;
    const size = (await handle.getFile()).size;
    const writable = await handle.createWritable({ keepExistingData: true });
    if (text) await writable.write({ type: 'write', position: 0, data: text });
    else await writable.truncate(size - 100);
    await writable.close();
  }
}"""
PIECES = {"snapshot.bin", "pyodide.asm.wasm", "python_stdlib.zip"}


def kept(tab: Tab) -> None:
    """Until all that a start needs is kept."""
    until = time.monotonic() + 45
    while set(found := tab.page.evaluate(KEPT)) != PIECES or min(found.values()) < 2_000_000:
        assert time.monotonic() < until, found
        tab.page.wait_for_timeout(100)
    tab.page.wait_for_timeout(500)


def fetched_again(tab: Tab) -> set[str]:
    """Which of the pieces a visit fetches."""
    fetched: list[str] = []
    tab.page.context.on("request", lambda request: fetched.append(request.url.rpartition("/")[2]))
    tab.page.reload()
    tab.wait(link="starting").lending()
    return PIECES & set(fetched)


def test_a_second_start_fetches_nothing_of_python(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url).lending()
    kept(tab)
    assert fetched_again(tab) == set()
    assert client.run(TESTING / "noop.wasm").ok
    assert WITHOUT not in tab.log


@pytest.mark.parametrize("piece", sorted(PIECES))
def test_what_was_not_kept_whole_is_fetched(broker: BrokerProcess, client: Client, tab: Tab, piece: str) -> None:
    tab.open(broker.url).lending()
    kept(tab)
    tab.page.evaluate(SPOIL, [piece, ""])
    assert fetched_again(tab) == {piece}
    assert client.run(TESTING / "noop.wasm").ok
    assert WITHOUT not in tab.log


@pytest.mark.parametrize("piece", ["snapshot.bin", "pyodide.asm.wasm"])
def test_what_was_kept_and_is_garbage_is_forgotten(broker: BrokerProcess, client: Client, tab: Tab, piece: str) -> None:
    tab.open(broker.url).lending()
    kept(tab)
    tab.page.evaluate(SPOIL, [piece, "garbage" * 100])
    fetched_again(tab)
    assert WITHOUT in tab.log
    assert client.run(TESTING / "noop.wasm").ok
    assert fetched_again(tab) == PIECES
    assert WITHOUT not in tab.log


def test_the_address_may_ask_for_a_plain_start(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url, snapshot="no").lending()
    assert WITHOUT in tab.log
    assert client.run(TESTING / "noop.wasm").ok


def test_wheels_that_are_not_as_the_lock_says_are_not_taken(broker: BrokerProcess, tab: Tab, watch: Watch) -> None:
    watch.expected += ["protobuf", "integrity"]
    tab.page.context.route("**/protobuf-*.whl", lambda route: route.fulfill(body=route.fetch().body() + b"x"))
    tab.open(broker.url, snapshot="no").wait(link="crashed")
    assert "protobuf could not be loaded as" in tab.log
