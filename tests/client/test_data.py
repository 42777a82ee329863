"""Addresses, tasks, results, status, errors: what is pure."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wasimoff
from wasimoff import BrokerError, QueueFull, Result, Task, TaskFailed, TaskRejected, UsageError
from wasimoff.address import broker_url, storage_path
from wasimoff.errors import from_text
from wasimoff.source import read_at_most
from wasimoff.status import parse


@pytest.mark.parametrize(
    ("given_", "url"),
    [
        ("localhost:4080", "http://localhost:4080"),
        ("http://h/", "http://h"),
        ("https://h:1/prefix//", "https://h:1/prefix"),
        ("ws://h", "http://h"),
        ("wss://h", "https://h"),
        ("http://[::1]:4080", "http://[::1]:4080"),
    ],
)
def test_urls(given_: str, url: str) -> None:
    assert broker_url(given_) == url


def test_the_environment_names_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker_url() == "http://localhost:4080"
    monkeypatch.setenv("BROKER", "http://old")
    assert broker_url() == "http://old"
    monkeypatch.setenv("WASIMOFF_BROKER", "http://new/")
    assert broker_url() == "http://new"
    assert broker_url("http://given") == "http://given"


@pytest.mark.parametrize("text", ["ftp://h", "http://", "http://h:99999", "http://h:x", "a b", "http://[::1"])
def test_no_urls(text: str) -> None:
    with pytest.raises(UsageError):
        broker_url(text)


def test_an_alias_is_quoted() -> None:
    assert storage_path("a b/ü?#") == "/api/storage/a%20b%2F%C3%BC%3F%23"
    assert storage_path("sha256:00") == "/api/storage/sha256:00"


@pytest.mark.parametrize(
    "wrong",
    [
        {"binary": ""},
        {"binary": 3},
        {"binary": "x", "args": "rand 8"},
        {"binary": "x", "stdin": "text"},
        {"binary": "x", "deadline": 0},
        {"binary": "x", "timeout": -1},
        {"binary": "x", "deadline": float("nan")},
        {"binary": "x", "env": {"": "v"}},
        {"binary": "x", "env": {"A=B": "v"}},
        {"binary": "x", "env": {"A": "v\0"}},
    ],
)
def test_a_wrong_task_is_told_before_anything_is_sent(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Task(**wrong)  # type: ignore[arg-type]


def test_argv() -> None:
    assert Task("dir/tsp.wasm", ["a"]).argv == ["tsp.wasm", "a"]
    assert Task("sha256:" + "0" * 64).argv == ["sha256:" + "0" * 64]
    assert Task(b"\0asm").argv == ["main.wasm"]
    assert Task("x", [1, 2], program="").argv == ["", "1", "2"]  # type: ignore[list-item]


def test_a_result_says_what_went_wrong() -> None:
    assert Result(0).check().ok
    assert Result(3, stderr=b"one\ntwo\n").why == "exit code 3: two"
    assert Result(None, error="trap").why == "trap"
    assert not Result(0, error="odd").ok
    with pytest.raises(TaskFailed, match="exit code 3") as caught:
        Result(3).check()
    assert caught.value.result.status == 3


def test_a_results_repr_is_short() -> None:
    text = repr(Result(0, stdout=b"x" * 10**6, stderr=b"short", archive=bytes(10**6), provider="p"))
    assert len(text) < 300
    assert "<1000000>" in text
    assert "b'short'" in text


def test_errors_from_an_envelope() -> None:
    full = from_text("resource_exhausted: full; retry after 7 s")
    assert isinstance(full, QueueFull)
    assert (full.code, full.retry_after) == ("resource_exhausted", 7.0)
    lost = from_text("unavailable: lost after 3 attempts: a; b")
    assert isinstance(lost, TaskRejected)
    assert lost.retry_after is None
    assert from_text("something: else").code == "unknown"
    assert str(from_text("something: else")) == "something: else"
    assert type(from_text("internal: x")) is BrokerError


@given(st.text())
def test_any_text_is_an_error(text: str) -> None:
    assert isinstance(from_text(text), BrokerError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["providers", "queue", "tasks", "version", "uptime", "id", "name", "waiting"]), inner, max_size=4
    ),
)  # fmt: skip


@given(JSON)
def test_any_status_document_is_a_status_or_a_broker_error(document: object) -> None:
    try:
        parse(document)
    except BrokerError:
        assert not isinstance(document, dict) or not isinstance(document.get("providers", []), list)


def test_a_status() -> None:
    provider = {"id": 1, "name": "n", "engine": "e", "address": "a", "concurrency": 2, "running": 1, "done": 5, "failed": 0}
    status = parse(
        {
            "version": "1", "uptime": 2.5, "providers": [provider],
            "queue": {"waiting": 3, "running": 1, "limit": 9, "note": "x"}, "tasks": {"done": 7, "denied": 2},
        }
    )  # fmt: skip
    assert (status.slots, status.waiting, status.limit, status.done, status.failed) == (2, 3, 9, 7, 2)
    assert status.providers[0].name == "n"


def test_every_public_name_is_there() -> None:
    for name in wasimoff.__all__:
        assert getattr(wasimoff, name).__module__.startswith("wasimoff.")
    with pytest.raises(AttributeError):
        wasimoff.Nothing  # noqa: B018


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import wasimoff", ["aiohttp", "google", "asyncio", "click", "rich", "dataclasses"]),
        ("import wasimoff; wasimoff.Task, wasimoff.Result, wasimoff.WasimoffError", ["aiohttp", "google", "asyncio"]),
        ("import wasimoff.cli; wasimoff.cli.main(['--help'])", ["aiohttp", "google", "rich"]),
        ("import wasimoff; wasimoff.Client", ["rich", "click"]),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code: str, absent: list[str]) -> None:
    check = f"{code}\nimport sys; print([m for m in {absent!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "[]\n"


def test_reading_within_a_limit_takes_memory_for_the_content_only() -> None:
    assert read_at_most(BytesIO(b"x" * 10), 10) == b"x" * 10
    assert read_at_most(BytesIO(b"x" * 11), 10) is None
    assert read_at_most(BytesIO(b""), 0) == b""
    tracemalloc.start()
    read_at_most(BytesIO(b"x"), 2**30)
    assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    tracemalloc.stop()
