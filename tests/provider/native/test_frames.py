"""Slot messages over a stream, in chunks of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.core.run import Broken, Exited, Failed, File, Params, Run
from pyodide_provider.native.frames import MAX_BODY, PREFIX, FrameError, FrameReader, pack
from pyodide_provider.slot_messages import ended, ended_message, params_of, read_header, runs_message

MESSAGES = st.lists(st.tuples(st.text(max_size=50), st.binary(max_size=200)), max_size=8)
FILES = st.builds(File, st.just("sha256:aa")) | st.builds(File, blob=st.binary(max_size=20))
TEXTS = st.lists(st.text(max_size=10), max_size=4).map(tuple)
PARAMS = st.builds(Params, FILES, TEXTS, TEXTS, st.binary(max_size=50), st.none() | FILES, TEXTS)


@given(MESSAGES, st.integers(1, 64))
def test_frames_come_out_as_they_went_in(messages: list[tuple[str, bytes]], size: int) -> None:
    stream = b"".join(b"".join(pack(header, [body])) for header, body in messages)
    reader = FrameReader()
    got = [frame for at in range(0, len(stream), size) for frame in reader.feed(stream[at : at + size])]
    assert got == messages


def test_large_bodies_are_not_copied() -> None:
    body = bytes(1 << 20)
    assert pack("{}", [b"x", body])[2] is body


@pytest.mark.parametrize("stream", [b"\xff" * 8, PREFIX.pack(10, MAX_BODY + 1), PREFIX.pack(1, 0) + b"\xff"])
def test_nonsense_is_an_error(stream: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(stream))


@given(st.lists(PARAMS, max_size=5))
def test_what_a_slot_is_told_is_what_was_meant(given_: list[Params]) -> None:
    runs = [Run(number, "t", 1, params) for number, params in enumerate(given_)]
    header, body = runs_message(runs)
    fields = read_header(header)["runs"]
    assert [field["key"] for field in fields] == [run.sequence for run in runs]
    assert [params_of(field, body) for field in fields] == given_


@pytest.mark.parametrize(
    "outcome",
    [Exited(0), Exited(255, b"out", b"err", b"PK"), Exited(1, artifacts=b""), Failed("unreachable"), Broken("no network")],
)
def test_what_a_slot_answers_is_what_was_meant(outcome: Exited | Failed | Broken) -> None:
    header, body = ended_message(7, 0.25, outcome)
    (end,) = ended(read_header(header)["ended"], b"".join(body))
    assert (end.sequence, end.seconds, end.outcome) == (7, 0.25, outcome)


@pytest.mark.parametrize("header", ["", "[]", "{", "null", "7"])
def test_a_header_that_is_no_object_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match=r"JSON object|Expecting|enclosed"):
        read_header(header)
