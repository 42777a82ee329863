"""The page that lends, driven as a person would."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Browser, BrowserContext, Playwright, Route, expect

from e2e.chromium import Tab, Watch, launch
from e2e.conftest import Lent
from e2e.processes import TESTING, TSP, BrokerProcess
from wasimoff import Client, Task

CITIES = "A,0,0\nB,3,4\nC,6,0\nD,3,-4\nE,1,1\nF,5,-1\n"


def test_a_person_starts_and_stops_lending(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    page = tab.page
    page.goto(broker.url)
    tab.wait(link="idle")
    expect(page.get_by_role("heading", level=1)).to_have_text("Lend this computer")
    page.get_by_role("button", name="Start lending").click()
    tab.wait(link="connected")
    expect(page.get_by_role("heading", level=1)).to_have_text("Lending")
    assert len(client.status().providers) == 1
    page.get_by_role("button", name="Stop").click()
    tab.wait(link="idle")
    expect(page.get_by_role("button", name="Start lending")).to_be_enabled()
    assert client.status().providers == ()
    page.get_by_role("button", name="Start lending").click()
    tab.wait(5, link="connected")


def test_a_task_runs_through_the_tab(lent: Lent) -> None:
    result = lent.client.run(TSP, ["read"], stdin=CITIES.encode())
    assert result.ok, result.error
    assert result.text.startswith("cities 6\n")
    assert result.provider.startswith("chromium-")
    lent.tab.wait(5, done=1, failed=0, running=0)
    expect(lent.tab.page.locator("#done")).to_have_text("1")
    expect(lent.tab.page.locator("#peers")).to_have_text("1")


def test_many_tasks_run_and_are_counted(lent: Lent) -> None:
    before = lent.count("done")
    results = list(lent.client.run_many([Task(TSP, ["rand", str(3 + i % 5)]) for i in range(300)], in_flight=32))
    assert sum(result.ok for result in results) == 300
    lent.tab.wait(5, done=before + 300, running=0)
    assert "task" not in lent.tab.log.lower(), "the log must not grow with every task"


def test_a_failing_program_is_counted_and_the_tab_goes_on(lent: Lent) -> None:
    done, failed = lent.count("done"), lent.count("failed")
    assert lent.client.run(TESTING / "trap.wasm").error.startswith("unreachable")
    assert lent.client.run(TESTING / "exitcode.wasm", ["200"]).status == 200
    lent.tab.wait(5, done=done + 1, failed=failed + 1)


def test_the_page_is_isolated(lent: Lent) -> None:
    assert lent.tab.page.evaluate("crossOriginIsolated") is True


def test_workers_are_added_and_taken_away(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url, workers=1).lending(1)
    more, fewer = (tab.page.get_by_role("button", name=f"One worker {word}") for word in ("more", "fewer"))
    more.click()
    more.click()
    tab.lending(3)
    assert client.status().providers[0].concurrency == 3
    fewer.click()
    tab.lending(2)
    assert client.status().providers[0].concurrency == 2
    fewer.click()
    fewer.click()
    tab.wait(5, workers=0, ready_workers=0)
    expect(fewer).to_be_disabled()
    expect(tab.page.locator("#detail")).to_contain_text("run nothing")
    more.click()
    tab.lending(1)
    assert client.run(TESTING / "noop.wasm").ok


def test_the_number_of_workers_is_remembered(broker: BrokerProcess, tab: Tab) -> None:
    tab.page.goto(broker.url)
    for _ in range(4):
        tab.page.get_by_role("button", name="One worker more").click()
    chosen = tab.page.locator("#workers").inner_text()
    tab.page.reload()
    expect(tab.page.locator("#workers")).to_have_text(chosen)


def test_settings_of_the_fragment(broker: BrokerProcess, tab: Tab) -> None:
    tab.open(broker.url, workers="max")  # type: ignore[arg-type]
    cores = tab.page.evaluate("navigator.hardwareConcurrency")
    tab.lending(cores)
    expect(tab.page.locator("#cores")).to_have_text(re.compile(rf"of {cores} core"))


def test_a_transport_that_is_no_url_is_told(broker: BrokerProcess, tab: Tab) -> None:
    tab.page.goto(f"{broker.url}/#autoconnect=yes&transport=ftp://example.org")
    expect(tab.page.locator("#detail")).to_contain_text("has to be a ws, wss, http or https URL")


def test_reload_brings_the_provider_back(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    tab.open(broker.url).lending()
    tab.page.reload()
    tab.lending()
    assert client.run(TESTING / "noop.wasm").ok
    assert len(client.status().providers) == 1


def test_the_broker_restarts(broker: BrokerProcess, tab: Tab, watch: Watch) -> None:
    watch.expected.append("WebSocket connection to")
    tab.open(broker.url).lending()
    broker.restart()
    tab.wait(link="connected")
    with Client(broker.url) as client:
        assert client.run(TESTING / "noop.wasm").ok
    assert "lost the broker" in tab.log


def test_an_updated_server_is_noticed_when_it_is_back(
    broker: BrokerProcess, context: BrowserContext, tab: Tab, watch: Watch
) -> None:
    watch.expected.append("WebSocket connection to")
    tab.open(broker.url).lending()
    tab.page.evaluate("document.documentElement.dataset.first = 'yes'")

    def updated(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("{", '{"more": "new/",', 1))

    context.route("**/manifest.json", updated)
    broker.restart()
    expect(tab.page.locator("html[data-first]")).to_have_count(0, timeout=90_000)
    tab.lending()


def test_a_changed_fragment_counts(broker: BrokerProcess, tab: Tab) -> None:
    tab.page.goto(broker.url)
    tab.wait(link="idle")
    tab.page.evaluate("location.hash = '#autoconnect=yes&workers=3'")
    tab.lending(3)


def test_the_broker_is_away(broker: BrokerProcess, tab: Tab, watch: Watch) -> None:
    watch.expected.append("WebSocket connection to")
    tab.open(broker.url).lending()
    broker.kill()
    tab.wait(link="waiting")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Not connected")
    expect(tab.page.locator("#detail")).to_contain_text("Trying again by itself")


def test_one_tab_of_a_browser_lends(broker: BrokerProcess, client: Client, new_tab: Callable[[], Tab]) -> None:
    first = new_tab().open(broker.url).lending()
    second = new_tab().open(broker.url)
    second.wait(link="blocked")
    expect(second.page.get_by_role("heading", level=1)).to_have_text("Another tab is lending")
    assert len(client.status().providers) == 1
    second.page.get_by_role("button", name="Use this tab instead").click()
    second.lending()
    first.wait(link="blocked")
    assert len(client.status().providers) == 1
    second.close()
    first.lending()
    assert client.run(TESTING / "noop.wasm").ok


def test_the_log_is_bounded(broker: BrokerProcess, tab: Tab) -> None:
    tab.page.goto(broker.url)
    tab.wait(link="idle")
    tab.page.evaluate("""async () => {
        const { Log } = await import('/static/js/page/log.js');
        const log = new Log(document.getElementById('log'), false);
        for (let i = 0; i < 1000; i++) log.add(`line ${i} ${'x'.repeat(5000)}`);
    }""")
    assert tab.page.locator("#log p").count() == 200
    assert tab.log.startswith(tab.page.locator("#log p").first.inner_text())
    assert "line 999" in tab.log
    assert len(tab.log) < 200 * 600


def test_a_host_that_is_no_secure_context(playwright: Playwright, broker: BrokerProcess, client: Client) -> None:
    browser = launch(playwright, "--host-resolver-rules=MAP volunteer.test 127.0.0.1")
    context = browser.new_context()
    watch = Watch(context)
    # Chromium tells that COOP is of no use over plain http; that is no error of ours.
    watch.expected.append("Cross-Origin-Opener-Policy header has been ignored")
    tab = Tab(context.new_page()).open(f"http://volunteer.test:{broker.port}").lending()
    assert tab.page.evaluate("isSecureContext") is False
    assert tab.page.evaluate("typeof crypto.subtle") == "undefined"
    result = client.run(TSP, ["read"], stdin=CITIES.encode())
    assert result.ok, result.error
    expect(tab.page.locator(".notice.info")).to_contain_text("plain HTTP")
    watch.check()
    browser.close()


def test_a_browser_without_webassembly_is_told(chromium: Browser, broker: BrokerProcess) -> None:
    context = chromium.new_context()
    context.add_init_script("delete globalThis.WebAssembly")
    page = context.new_page()
    page.goto(f"{broker.url}/#autoconnect=yes")
    Tab(page).wait(link="impossible")
    expect(page.locator(".notice.bad")).to_contain_text("no WebAssembly")
    expect(page.get_by_role("button", name="Start lending")).to_be_disabled()
    context.close()
