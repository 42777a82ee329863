"""Fixtures: a broker process, Chromium, tabs. What a process wrote is shown when a test fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from e2e.chromium import Tab, Watch, launch
from e2e.hosts import KINDS, lending
from e2e.processes import ROOT, BrokerProcess
from wasimoff import Client

# Patience costs nothing where things work, and machines are sometimes slow.
expect.set_options(timeout=45_000)


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """What the pages load is made of the sources as they are now; nothing to do when it is."""
    subprocess.run(["node", "scripts/build_static.mjs"], cwd=ROOT, check=True, timeout=300)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    broker = BrokerProcess()
    yield broker
    print(broker.output)
    broker.close()


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[BrokerProcess]:
    """One for all tests of a module."""
    broker = BrokerProcess()
    yield broker
    print(broker.output)
    broker.close()


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[Client]:
    with Client(broker.url) as client:
        yield client


@pytest.fixture
def context(chromium: Browser, broker: BrokerProcess) -> Iterator[BrowserContext]:
    """One person's browser: tabs in it share storage and locks. Needs the broker, so that it is closed first."""
    context = chromium.new_context()
    context.set_default_timeout(45_000)
    yield context
    context.close()


@pytest.fixture
def watch(context: BrowserContext) -> Iterator[Watch]:
    watch = Watch(context)
    yield watch
    watch.check()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    """An empty page that is watched."""
    return context.new_page()


@pytest.fixture
def new_tab(context: BrowserContext, watch: Watch) -> Callable[[], Tab]:
    return lambda: Tab(context.new_page())


@pytest.fixture
def tab(new_tab: Callable[[], Tab]) -> Tab:
    return new_tab()


@dataclass(frozen=True)
class Lender:
    """A broker, and one provider of a kind with two workers."""

    broker: BrokerProcess
    client: Client
    kind: str


@pytest.fixture(scope="module", params=KINDS)
def lender(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Lender]:
    """One of each kind for all tests of a module, which leave it as they found it."""
    broker = BrokerProcess()
    with Client(broker.url) as client, lending(request.param, broker.url, chromium, workers=2):
        yield Lender(broker, client, request.param)
    print(broker.output)
    broker.close()


@dataclass(frozen=True)
class Lent:
    """A broker, and one tab that lends to it with two workers."""

    broker: BrokerProcess
    client: Client
    tab: Tab

    def count(self, name: str) -> int:
        return int(self.tab.page.locator("html").get_attribute(f"data-{name}") or 0)


@pytest.fixture(scope="module")
def lent(chromium: Browser) -> Iterator[Lent]:
    """One for all tests of a module that leave it as they found it: Python takes seconds to start in a tab."""
    broker = BrokerProcess()
    context = chromium.new_context()
    watch = Watch(context)
    with Client(broker.url) as client:
        yield Lent(broker, client, Tab(context.new_page()).open(broker.url).lending())
    context.close()
    print(broker.output)
    broker.close()
    watch.check()
