"""/metrics: off unless asked for, and then what Prometheus reads; the numbers are those of what happened."""

from __future__ import annotations

import re

from tests.broker.running import task, world

LINE = re.compile(r'(wasimoff_[a-z_]+)(\{[a-z_]+="[a-z]+"\})? (\d+(?:\.\d+)?)')


async def test_it_counts_what_happens():
    async with world(metrics=True) as w:
        provider, client = await w.provider(), await w.client()
        w.serve(provider)
        assert (await client.run(task("app"))).payload
        assert (await client.run(task("no such file"))).error
        async with w.http.get(f"{w.broker.url}/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            lines = (await answer.text()).splitlines()
        found = {}
        for line in lines:
            if not line.startswith("#"):
                name, label, value = LINE.fullmatch(line).groups()
                found[name + (label or "")] = float(value)
        assert {f"# TYPE {name.partition('{')[0]}" for name in found} == {
            line.rpartition(" ")[0] for line in lines if line.startswith("# TYPE ")
        }
        assert found['wasimoff_tasks_total{outcome="ok"}'] == 1
        assert found['wasimoff_tasks_total{outcome="failed"}'] == 0
        assert (found["wasimoff_providers"], found["wasimoff_slots"]) == (1, 1)
        assert (found["wasimoff_tasks_waiting"], found["wasimoff_tasks_running"], found["wasimoff_tasks_bytes"]) == (0, 0, 0)
        assert found["wasimoff_storage_files"] == 1
        assert found["wasimoff_storage_bytes"] == w.broker.blobs.held_bytes > 0


async def test_it_is_not_there_unless_asked_for():
    async with world() as w, w.http.get(f"{w.broker.url}/metrics") as answer:
        assert answer.status == 404
