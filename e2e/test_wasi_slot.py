"""What only a real browser shows of a slot in the tab: sleeping, bombs at their limits, output told and stored."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from e2e.processes import BrokerProcess
from tests.contract.programs import APPS, FILLS_A_FILE, NEVER_STOPS_WRITING, wat

SLOT = """async ([url, limits]) => {
    const { wasi } = await (await fetch('/static/vendor/manifest.json')).json();
    const worker = new Worker(`/static/vendor/${wasi}worker.js`);
    const said = [];
    let heard = () => {};
    worker.onmessage = ({ data: [header, body] }) => { said.push([JSON.parse(header), body]); heard(); };
    const send = (header, body) => worker.postMessage([JSON.stringify(header), new Uint8Array(body)]);
    send({ start: { storage: `${url}/api/storage`, limits } }, []);
    while (!said.length) await new Promise((resolve) => { heard = resolve; });
    globalThis.runs = async (runs, body) => {
        said.length = 0;
        send({ runs }, body);
        const ends = () => said.flatMap(([{ ended }]) => ended ?? []);
        while (ends().length < runs.length) await new Promise((resolve) => { heard = resolve; });
        return said.map(([header, own]) => ({ ...header, text: new TextDecoder().decode(own ?? new Uint8Array(0)) }));
    };
}"""
RUNS = "([runs, body]) => globalThis.runs(runs, body)"
MIB = 1 << 20
GROWS = wat(
    '(module (memory (export "memory") 1) (func $fill (loop $again'
    " (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable)"
    ' (func (export "_start") (call $fill)))'
)
SLEEPS = wat(
    # poll_oneoff(0, 48, 1, 80) with a clock of 300 ms, then the errno as exit code
    '(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))'
    ' (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)'
    ' (func (export "_start") (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 300000000))'
    " (call $exit (i32.add (call $poll (i32.const 0) (i32.const 48) (i32.const 1) (i32.const 80)) (i32.load (i32.const 80))))))"
)


class Slot:
    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        page.goto(url)
        page.evaluate(SLOT, [url, {"output": 4 * MIB, "files": 4 * MIB}])

    def run(self, binary: bytes, *fields: dict[str, Any]) -> list[dict[str, Any]]:
        """What the slot says of runs of a program, one after the other."""
        common = {"binary": {"blob": [0, len(binary)]}, "args": ["x"]}
        runs = [{"key": key, **common, **field} for key, field in enumerate(fields)]
        said: list[dict[str, Any]] = self._page.evaluate(RUNS, [runs, list(binary)])
        return said

    def ends(self, binary: bytes, *fields: dict[str, Any]) -> list[dict[str, Any]]:
        return [end for said in self.run(binary, *fields) for end in said.get("ended", ())]

    @property
    def isolated(self) -> bool:
        return bool(self._page.evaluate("globalThis.crossOriginIsolated"))


@pytest.fixture
def slot(chromium: Browser, broker: BrokerProcess) -> Slot:
    return Slot(chromium.new_context().new_page(), broker.url)


def idle(slot: Slot) -> float:
    """Seconds of a sleep of 0.3 in which the processor was free."""
    (end,) = slot.ends(SLEEPS, {})
    assert end["status"] == 1, end
    assert end["seconds"] >= 0.3
    return float(end["seconds"] - end["usage"]["cpu"])


def test_sleeping_leaves_the_processor_alone(slot: Slot) -> None:
    assert slot.isolated
    assert idle(slot) >= 0.25


def test_sleeping_without_isolation(chromium: Browser, broker: BrokerProcess) -> None:
    page = chromium.new_context(ignore_https_errors=True).new_page()

    def plain(route: Any) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("cross-origin")}
        route.fulfill(response=answer, headers=headers)

    page.route("**/*", plain)
    slot = Slot(page, broker.url)
    assert not slot.isolated
    assert idle(slot) < 0.001, "it can't but spin"


def test_bombs_are_stopped_ten_times_in_a_row_and_the_slot_works_after_each(slot: Slot) -> None:
    noop = (APPS / "testing/noop.wasm").read_bytes()
    expected = {
        NEVER_STOPS_WRITING: f"output limit exceeded: more than {4 * MIB} bytes",
        FILLS_A_FILE: f"files limit exceeded: more than {4 * MIB} bytes",
        GROWS: "memory limit exceeded: 255.1 MiB of at most 256.0 MiB in use when the program stopped: unreachable: in fill",
    }
    for _ in range(10):
        for bomb, error in expected.items():
            (end,) = slot.ends(bomb, {"limits": {"memory": 256 * MIB}})
            assert end["error"] == error
            assert slot.ends(noop, {})[0]["status"] == 0


def test_output_is_told_while_a_program_runs(slot: Slot) -> None:
    bigout = (APPS / "testing/bigout.wasm").read_bytes()
    said = slot.run(bigout, {"args": ["bigout", str(MIB)], "follow": True})
    assert "began" in said[0]
    assert "ended" in said[-1]
    assert sum(message["output"]["stdout"][1] for message in said if "output" in message) <= MIB
    assert len(said) > 3


def test_what_is_large_is_stored_with_the_broker(slot: Slot, broker: BrokerProcess) -> None:
    bigout = (APPS / "testing/bigout.wasm").read_bytes()
    (end,) = slot.ends(bigout, {"args": ["bigout", str(2 * MIB)], "by_reference": True})
    ref = end["stdout"]["ref"]
    with urllib.request.urlopen(f"{broker.url}/api/storage/{ref}") as answer:
        assert len(answer.read()) == 2 * MIB
    (again,) = slot.ends((APPS / "testing/cat.wasm").read_bytes(), {"stdin": {"ref": ref}, "by_reference": True})
    assert again["stdout"] == {"ref": ref}
