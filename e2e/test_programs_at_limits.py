"""Programs that take without end, through the broker on both hosts: each is stopped at its limit, ten times in a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from playwright.sync_api import Browser

from e2e.hosts import KINDS, Host, lending
from e2e.processes import TESTING, BrokerProcess
from tests.contract.bombs import BOMBS, SLEEPS
from tests.contract.thread_programs import BOMB, COMPUTING, FORKING
from wasimoff import Client, Limits

NOOP = TESTING / "noop.wasm"
PATIENCE = 60
TIMES = 10
WATCH_FRAMES = """() => {
    globalThis.frames = { count: 0, longest: 0 };
    let last = performance.now();
    const frame = (now) => {
        globalThis.frames.count += 1;
        globalThis.frames.longest = Math.max(globalThis.frames.longest, now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""

CASES: dict[str, tuple[bytes, Limits, str]] = {
    "an endless loop": ((TESTING / "spin.wasm").read_bytes(), Limits(wall=0.25), "time limit exceeded: ran for "),
    "threads that start threads": (FORKING, Limits(threads=8), "threads limit exceeded: more than 8"),
    "a fork of 10 000 threads": (BOMB, Limits(), "threads limit exceeded: more than 64"),
    "a fork of 10 000 that compute": (COMPUTING, Limits(), "threads limit exceeded: more than 64"),
    **{
        name: (bomb, Limits(**{limit: value for limit, value in asdict(limits).items() if value}), error)
        for name, (bomb, limits, error) in BOMBS.items()
    },
}


@pytest.fixture(scope="module")
def client(shared_broker: BrokerProcess) -> Iterator[Client]:
    with Client(shared_broker.url) as client:
        yield client


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, shared_broker: BrokerProcess, chromium: Browser) -> Iterator[Host]:
    with lending(request.param, shared_broker.url, chromium) as host:
        if host.page:
            host.page.evaluate(WATCH_FRAMES)
        yield host
        if host.page:
            print("frames while programs were at their limits:", json.dumps(host.page.evaluate("globalThis.frames")))


@pytest.mark.parametrize("name", CASES)
def test_ten_times_in_a_row(client: Client, host: Host, name: str) -> None:
    binary, limits, error = CASES[name]
    bomb = client.upload(binary)
    before = frames(host)
    for _ in range(TIMES):
        result = client.run(bomb, limits=limits, timeout=PATIENCE)
        assert (result.status, result.provider, result.attempt) == (None, host.kind, 1)
        assert result.error.startswith(error), result.error
        assert result.usage is not None
        assert result.usage.cpu > 0, result.usage
        after = client.run(NOOP, timeout=PATIENCE)
        assert (after.status, after.provider, after.attempt) == (0, host.kind, 1)
    if host.page:
        assert frames(host) > before, "the page drew nothing meanwhile"


def test_who_sleeps_until_its_limit_has_used_little(client: Client, host: Host) -> None:
    for _ in range(2):
        result = client.run(client.upload(SLEEPS), limits=Limits(wall=1.0), timeout=PATIENCE)
        assert result.error.startswith("time limit exceeded: ran for ")
        assert result.usage is not None
        assert result.usage.wall >= 1.0
        assert result.usage.cpu < 0.5


def frames(host: Host) -> int:
    return int(host.page.evaluate("globalThis.frames.count")) if host.page else 0
