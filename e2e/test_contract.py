"""The contract of tests/contract, in the tab: each case on a slot of its own kind, and through broker and provider."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from e2e.chromium import Tab, Watch
from e2e.processes import BrokerProcess
from pyodide_provider.core.run import Exited, Failed, File, Outcome, Params, Run
from pyodide_provider.slot_messages import ended, read_header, runs_message, start_header
from tests.contract.cases import CASES, GROUPS, LIMITS, Case
from tests.contract.differences import KNOWN, hold
from tests.contract.thread_programs import SHARED, threaded
from tests.contract.transcripts import TRANSCRIPTS
from wasimoff import Client, Task

OPEN = """async (header) => {
    const { wasi } = await (await fetch('/static/vendor/manifest.json')).json();
    const worker = new Worker(`/static/vendor/${wasi}worker.js`);
    const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const base64 = (body) => btoa(Array.from(body ?? [], (byte) => String.fromCharCode(byte)).join(''));
    const answers = [];
    let waiting = null;
    const next = () => new Promise((resolve) => {
        if (answers.length) resolve(answers.shift());
        else waiting = resolve;
    });
    globalThis.worker?.terminate();
    globalThis.worker = worker;
    worker.onmessage = ({ data: [said, body] }) => {
        const answer = [said, base64(body)];
        if (waiting) waiting(answer);
        else answers.push(answer);
        waiting = null;
    };
    globalThis.ask = (header, body, patience) => {
        const sent = bytes(body);
        worker.postMessage([header, sent], [sent.buffer]);
        const late = new Promise((resolve) => { setTimeout(resolve, patience, null); });
        return Promise.race([next(), late]);
    };
    return globalThis.ask(header, '', 60_000);
}"""
PATIENCE = 60_000
"""Milliseconds for one run."""
LARGE = threaded("", "", memory=SHARED.replace("2 64", "4800 5000"))
"""A program with threads and 300 MiB."""
ASK = "([header, body, patience]) => globalThis.ask(header, body, patience)"


class TabSlot:
    """A WASI worker of a page, spoken to as the provider does."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._start = start_header(f"{url}/api/storage", LIMITS)
        page.goto(url)
        self.open()

    def open(self) -> None:
        said, _ = self._page.evaluate(OPEN, self._start)
        assert read_header(said)["ready"]["engine"].startswith("browser_wasi_shim ")

    def hear(self) -> dict[str, Any]:
        """What it says next, by itself."""
        said, _ = self._page.evaluate(ASK, ["{}", "", PATIENCE])
        return read_header(said)

    def run(self, params: Params, patience: int = PATIENCE) -> Outcome:
        header, body = runs_message([Run(1, "task", 1, params)])
        answered = self._page.evaluate(ASK, [header, base64.b64encode(body).decode(), patience])
        if answered is None:
            self.open()
            return Failed("the run did not end")
        said, answer = answered
        report = read_header(said)
        (end,) = ended(report["ended"], base64.b64decode(answer))
        return end.outcome


@pytest.fixture(scope="module")
def module_broker() -> Iterator[BrokerProcess]:
    broker = BrokerProcess()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def slot(chromium: Browser, module_broker: BrokerProcess) -> Iterator[TabSlot]:
    context = chromium.new_context()
    watch = Watch(context)
    watch.expected.append("404 (Not Found)")
    yield TabSlot(context.new_page(), module_broker.url)
    context.close()
    watch.check()


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_contract(slot: TabSlot, name: str, case: Case) -> None:
    patience = 5_000 if (name, "tab") in KNOWN else PATIENCE
    hold(name, case, slot.run(case.params, patience), "tab")


def test_a_slot_is_spent_when_programs_with_threads_had_much_memory(slot: TabSlot) -> None:
    for _ in range(2):
        assert slot.run(Params(File(blob=LARGE))) == Exited(0)
        assert slot.hear() == {"spent": True}
        slot.open()


SOME = ("endings", "streams", "files", "artifacts", "traps", "exits", "features", *TRANSCRIPTS)
THROUGH_THE_BROKER = [(f"{group}: {case.name}", case) for group in SOME for case in GROUPS[group]]


def test_contract_through_broker_and_provider(broker: BrokerProcess, client: Client, tab: Tab) -> None:
    """Binaries and archives by ref here, several runs at a time."""
    tab.open(broker.url).lending()
    tasks = [task_of(client, case) for _, case in THROUGH_THE_BROKER]
    wrong = []
    for result in client.run_many(tasks, in_flight=8):
        name, case = THROUGH_THE_BROKER[result.index]
        outcome: Outcome = Failed(result.error)
        if result.status is not None:
            outcome = Exited(result.status, result.stdout, result.stderr, result.artifacts)
        try:
            hold(name, case, outcome, "tab")
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


def task_of(client: Client, case: Case) -> Task:
    more: dict[str, Any] = {}
    if case.rootfs is not None:
        more["rootfs"] = client.upload(case.rootfs)
    return Task(
        client.upload(case.binary),
        case.args[1:],
        program=case.args[0],
        stdin=case.stdin,
        env=dict(env.split("=", 1) for env in case.envs),
        artifacts=case.artifacts,
        **more,
    )
