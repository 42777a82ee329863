"""Programs with threads through the broker, on both hosts: the contract's, and what becomes of workers and processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from playwright.sync_api import Browser

from e2e.hosts import KINDS, Host, lending
from e2e.processes import BrokerProcess
from e2e.typing import typing
from pyodide_provider.core.run import Exited, Failed, Outcome
from tests.contract.case import Case
from tests.contract.differences import hold
from tests.contract.programs import start
from tests.contract.thread_programs import ECHOES, LEAVES_A_READER, POLLS, SHARED, threaded, times
from tests.contract.threads import THREADS
from wasimoff import Client, Limits, Task

CASES = [(f"{group}: {case.name}", case) for group, cases in THREADS.items() for case in cases]
PATIENCE = 60
START_8 = times(8, "(call $start (i32.const 0))")
SPINNING = threaded("(call $spin)", f"{START_8} (call $spin)")
LEAVING = threaded("(call $signal (i32.const 4)) (call $spin)", f"{START_8} (call $await (i32.const 4) (i32.const 8))")
LARGE = threaded(
    "(memory.fill (i32.const 0) (i32.const 1) (i32.const 300_000_000)) (call $proc_exit (i32.const 0))",
    "(call $start (i32.const 0)) (call $forever)",
    memory=SHARED.replace("2 64", "4800 5000"),
)
WRITES_AND_WAITS = threaded("", "".join(f"(call $say (i32.const {letter}))" for letter in b"abc") + "(call $forever)")
COUNTING = start(f"(local $n i32) {times(200_000_000, '')}")


@pytest.fixture(scope="module")
def client(shared_broker: BrokerProcess) -> Iterator[Client]:
    with Client(shared_broker.url) as client:
        yield client


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, shared_broker: BrokerProcess, chromium: Browser) -> Iterator[Host]:
    with lending(request.param, shared_broker.url, chromium) as host:
        yield host


def test_all_of_the_contract(client: Client, host: Host) -> None:
    """By ref, all in line for one slot, which some of them leave spent."""
    wrong = []
    for result in client.run_many([task_of(client, case) for _, case in CASES], in_flight=8):
        name, case = CASES[result.index]
        outcome: Outcome = Failed(result.error)
        if result.status is not None:
            outcome = Exited(result.status, result.stdout, result.stderr, result.artifacts)
        try:
            assert (result.provider, result.attempt) == (host.kind, 1)
            hold(name, case, outcome, host.kind)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


def task_of(client: Client, case: Case) -> Task:
    limits = {name: most for name, most in asdict(case.limits).items() if most}
    return Task(
        client.upload(case.binary),
        case.args[1:],
        program=case.args[0],
        stdin=case.stdin,
        artifacts=case.artifacts,
        limits=Limits(**limits),
    )


def test_threads_are_stopped_with_their_slot(client: Client, host: Host) -> None:
    """They would leave little of the processor for what runs after them."""
    before = min(client.run(COUNTING, timeout=PATIENCE).seconds for _ in range(3))
    for _ in range(3):
        result = client.run(SPINNING, limits=Limits(wall=0.3), timeout=PATIENCE)
        assert result.error.startswith("time limit exceeded: ran for "), result
    for _ in range(5):
        assert client.run(LEAVING, timeout=PATIENCE).status == 0
    # A browser gives a worker that computes two seconds to end.
    until = time.monotonic() + PATIENCE
    while client.run(COUNTING, timeout=PATIENCE).seconds > 3 * before:
        assert time.monotonic() < until, "they go on"


def test_one_thread_reads_what_is_typed_while_others_go_on(client: Client, host: Host) -> None:
    with typing(client.url, client.upload(ECHOES)) as command:
        command.sees(b"!\n")
        for letter in (b"a", b"b", b"c"):
            command.types(letter + b"\n")
            command.sees(letter + b"\n")
        assert command.ends() == 7


def test_the_last_that_was_written_is_told(client: Client, host: Host) -> None:
    with typing(client.url, client.upload(WRITES_AND_WAITS)) as command:
        command.sees(b"a\nb\nc\n")
        command.process.kill()


def test_who_reads_holds_up_no_end(client: Client, host: Host) -> None:
    for _ in range(3):
        with typing(client.url, client.upload(LEAVES_A_READER)) as command:
            assert command.process.wait(PATIENCE) == 99


def test_a_thread_polls_what_is_typed(client: Client, host: Host) -> None:
    with typing(client.url, client.upload(POLLS)) as command:
        command.sees(b".\n")
        command.types(b"a\n")
        command.sees(b"a\n")
        command.sees(b".\n")
        assert command.ends() == 7


def test_memory_of_earlier_runs_is_given_back(client: Client, host: Host) -> None:
    """A tab's slots are replaced for that."""
    program = client.upload(LARGE)
    for _ in range(5):
        result = client.run(program, timeout=PATIENCE)
        assert (result.status, result.attempt) == (0, 1), result
