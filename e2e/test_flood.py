"""Slots that get as much as they can take: memory is given back late, and nobody may notice."""

from __future__ import annotations

import json

from playwright.sync_api import Page

from e2e.processes import TESTING, BrokerProcess
from wasimoff import Client

WORKERS = 4
RUNS = 25_000

FLOOD = """async ([ref, workers, runs]) => {
    const { wasi } = await (await fetch('/static/vendor/manifest.json')).json();
    const start = { storage: `${location.origin}/api/storage`, limits: { output: 1000, files: 1000 } };
    const batch = Array.from({ length: 16 }, (_, key) => ({ key, binary: { ref }, args: ['noop'] }));
    const flood = () => new Promise((resolve) => {
        const worker = new Worker(`/static/vendor/${wasi}worker.js`);
        const ends = {};
        let count = 0;
        let open = 0;
        worker.onmessage = ({ data: [header] }) => {
            for (const end of JSON.parse(header).ended ?? []) {
                const how = end.broken ?? end.error ?? `exit ${end.status}`;
                ends[how] = (ends[how] ?? 0) + 1;
                count++;
                open--;
            }
            if (open) return;
            if (count >= runs) return resolve(ends);
            open = batch.length;
            worker.postMessage([JSON.stringify({ runs: batch }), null]);
        };
        worker.postMessage([JSON.stringify({ start }), null]);
    });
    return JSON.stringify(await Promise.all(Array.from({ length: workers }, flood)));
}"""


def test_a_flood_of_short_runs(broker: BrokerProcess, client: Client, page: Page) -> None:
    """Without pauses, V8 refuses new memories now and then: about one run in 2000 here."""
    ref = client.upload(TESTING / "noop.wasm")
    page.goto(f"{broker.url}/run")
    for ends in json.loads(page.evaluate(FLOOD, [ref, WORKERS, RUNS])):
        assert list(ends) == ["exit 0"], ends
        assert ends["exit 0"] >= RUNS
