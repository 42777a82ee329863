"""Envelopes put together by hand are, byte for byte, what the generated classes make of the same values."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.wire.values import BORDERS, BYTES_AT_BORDERS, MESSAGES, SEQUENCES, TEXTS, tried

MAKERS = {codec.REQUEST: codec.request, codec.RESPONSE: codec.response, codec.EVENT: codec.event}


def generated(kind: int, sequence: int, payload: Message | None = None, error: str | None = None) -> bytes:
    envelope = pb.Envelope(sequence=sequence, type=pb.Envelope.MessageType.Name(kind), error=error)
    if payload is not None:
        envelope.payload.Pack(payload, type_url_prefix="wasimoff/", deterministic=False)
    return envelope.SerializeToString()


@pytest.mark.parametrize("kind", MAKERS)
@tried
@given(sequence=SEQUENCES, payload=MESSAGES)
def test_requests_responses_and_events(kind: int, sequence: int, payload: Message):
    frame = MAKERS[kind](sequence, payload)
    assert frame == generated(kind, sequence, payload)
    (envelope,) = codec.decode(frame)
    assert codec.unpack(envelope) == payload


@pytest.mark.parametrize("cls", codec.PAYLOADS.values(), ids=codec.PAYLOADS)
@pytest.mark.parametrize("kind", MAKERS)
def test_every_payload_may_be_empty(kind: int, cls: type[Message]):
    assert MAKERS[kind](7, cls()) == generated(kind, 7, cls())


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("kind", MAKERS)
def test_sizes_around_the_borders_of_varints(kind: int, size: int):
    payload = pb.Filesystem.Upload.Request(upload=pb.File(blob=bytes(size)))
    assert MAKERS[kind](1, payload) == generated(kind, 1, payload)


@tried
@given(SEQUENCES, TEXTS)
@example(0, "")
@example(1, "x" * 127)
@example(1, "x" * 128)
def test_errors(sequence: int, text: str):
    assert codec.failure(sequence, text) == generated(codec.RESPONSE, sequence, error=text)


def test_an_error_that_is_no_text_is_sent_all_the_same():
    (envelope,) = codec.decode(codec.failure(1, "caf\udce9 \ud800"))
    assert envelope.error == "caf? ?"


@tried
@given(SEQUENCES, TEXTS, st.integers(0, 255), BYTES_AT_BORDERS, BYTES_AT_BORDERS, st.none() | BYTES_AT_BORDERS)
@example(1, "t", 0, b"", b"", b"")
@example(2**64 - 1, "", 255, bytes(16384), bytes(127), bytes(2097152))
def test_the_response_of_a_program_that_ended(
    sequence: int, task: str, status: int, stdout: bytes, stderr: bytes, artifacts: bytes | None
):
    output = pb.Task.Wasip1.Output(status=status, stdout=stdout or None, stderr=stderr or None)
    if artifacts is not None:
        output.artifacts.CopyFrom(pb.File(media="application/zip", blob=artifacts))
    response = pb.Task.Wasip1.Response(info=pb.Task.Metadata(id=task), ok=output)
    frame = codec.wasip1_output(sequence, task, status, stdout, stderr, artifacts)
    assert frame == generated(codec.RESPONSE, sequence, response)


@tried
@given(SEQUENCES, TEXTS, TEXTS)
def test_the_response_of_a_task_that_failed(sequence: int, task: str, error: str):
    response = pb.Task.Wasip1.Response(info=pb.Task.Metadata(id=task), error=error)
    assert codec.wasip1_error(sequence, task, error) == generated(codec.RESPONSE, sequence, response)


@tried
@given(st.lists(st.tuples(st.sampled_from(sorted(MAKERS)), SEQUENCES, MESSAGES), min_size=1, max_size=5))
def test_a_batch_holds_its_envelopes_in_order(parts: list[tuple[int, int, Message]]):
    envelopes = [MAKERS[kind](sequence, payload) for kind, sequence, payload in parts]
    frame = codec.batch(envelopes)
    assert frame == pb.Envelope(batch=[pb.Envelope.FromString(e) for e in envelopes]).SerializeToString()
    assert codec.is_batch(frame)
    assert [e.SerializeToString() for e in codec.decode(frame)] == envelopes
    assert not any(codec.is_batch(envelope) for envelope in envelopes)


@tried
@given(SEQUENCES)
@example(2**64 - 1)
def test_varints(number: int):
    # Field 1 of a Trace's duration is a plain varint: its bytes without the tag are the number's.
    assert codec.varint(number) == pb.Task.Trace(duration=number).SerializeToString()[1:]
