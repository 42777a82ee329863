"""What is known of a task while it runs in a tab, and after: the same as of one that runs natively."""

from __future__ import annotations

import urllib.request

from e2e.conftest import Lent
from tests.contract.programs import app, wat
from tests.test_running_tasks import COMPLETE, ENDLESS, behind_a_long_one, first_output, run, task


def test_a_trace_is_complete_and_in_order(lent: Lent) -> None:
    request = task(app("testing/noop"))
    request.info.trace.created = 1
    response = run(lent.broker, request)
    assert response.ok.HasField("status"), response.error
    assert [event.event for event in response.info.trace.events] == COMPLETE
    times = [event.unixnano for event in response.info.trace.events]
    # The tab's clock is its own: coarser, and not in step with the broker's to the millisecond.
    provider = times[4:11]
    assert provider == sorted(provider)


def test_an_endless_loop_is_stopped_at_its_limit_again_and_again(lent: Lent) -> None:
    request = task(wat(ENDLESS))
    request.params.limits.wall_ms = 300
    for _ in range(5):
        response = run(lent.broker, request)
        assert response.error.startswith("time limit exceeded: ran for "), response
        assert response.usage.wall_us >= 290_000
    assert run(lent.broker, task(app("testing/noop"))).ok.HasField("status")


def test_output_comes_while_the_program_runs_and_going_stops_it(lent: Lent) -> None:
    upload = urllib.request.Request(f"{lent.broker.url}/api/storage/upload?name=endless.wasm", wat(ENDLESS))
    urllib.request.urlopen(upload, timeout=60).close()
    assert first_output(f"{lent.broker.url}/api/client/run/endless.wasm") == ["event: stdout", 'data: "hello\\n"']
    lent.tab.wait(60, running=0)


def test_nobody_waits_behind_a_run_that_is_longer_than_expected(lent: Lent) -> None:
    assert behind_a_long_one(lent.broker.url) == [b"done short\n"] * 30 + [b"done long\n"]
