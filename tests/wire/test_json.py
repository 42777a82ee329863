"""The JSON form of messages (protojson), as text frames and HTTP bodies have it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.wire.values import PUBLIC, SEQUENCES, tried

RESPONSE = pb.Task.Wasip1.Response(
    info=pb.Task.Metadata(id="t", trace=pb.Task.Trace(created=1, duration=2**64 - 1)),
    ok=pb.Task.Wasip1.Output(status=0, stdout=b"\x00\xff"),
)


def test_a_text_frame_looks_like_this():
    assert json.loads(codec.encode_json(codec.response(2**64 - 1, RESPONSE))) == {
        "sequence": "18446744073709551615",
        "type": "Response",
        "payload": {
            "@type": "wasimoff/wasimoff.v1.Task.Wasip1.Response",
            "info": {"id": "t", "trace": {"created": "1", "duration": "18446744073709551615"}},
            "ok": {"status": 0, "stdout": "AP8="},
        },
    }


def test_zeros_that_are_set_are_written():
    text = codec.encode_json(codec.event(0, pb.Event.ProviderResources(concurrency=0, tasks=0)))
    payload = {"@type": "wasimoff/wasimoff.v1.Event.ProviderResources", "concurrency": 0, "tasks": 0}
    assert json.loads(text) == {"sequence": "0", "type": "Event", "payload": payload}


def test_text_is_compact():
    assert "\n" not in codec.to_json(RESPONSE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"sequence": 7}, pb.Envelope(sequence=7)),
        ({"sequence": "7"}, pb.Envelope(sequence=7)),
        ({"type": 2}, pb.Envelope(type=pb.Envelope.Response)),
        ({"type": "Response"}, pb.Envelope(type=pb.Envelope.Response)),
        ({"error": None, "unheardOf": {"a": [1]}}, pb.Envelope()),
    ],
    ids=str,
)
def test_other_ways_to_say_the_same_are_understood(text: dict[str, Any], expected: pb.Envelope):
    assert codec.from_json(json.dumps(text), pb.Envelope) == expected


@pytest.mark.parametrize("name", ["immediate", "deadline", "params"])
def test_names_may_be_in_the_schemas_own_spelling_and_bytes_url_safe(name: str):
    fields = {
        "immediate": ({"qos": {"immediate": True}}, lambda m: m.qos.immediate is True),
        "deadline": ({"qos": {"deadline": "2024-01-01T00:00:00.5Z"}}, lambda m: m.qos.deadline.nanos == 500_000_000),
        "params": ({"params": {"stdin": "_-8="}}, lambda m: m.params.stdin == b"\xff\xef"),
    }
    value, holds = fields[name]
    assert holds(codec.from_json(json.dumps(value), pb.Task.Wasip1.Request))


@tried
@given(SEQUENCES, PUBLIC)
def test_there_and_back(sequence: int, payload: Message):
    (envelope,) = codec.decode_json(codec.encode_json(codec.request(sequence, payload)))
    assert (envelope.type, envelope.sequence) == (codec.REQUEST, sequence)
    assert codec.unpack(envelope) == payload


def test_own_fields_are_left_out():
    """In JSON an unmodified peer may refuse a name that it doesn't know."""
    info = pb.Task.Metadata(id="t", attempt=2)
    tasks = [pb.Task.Wasip1.Response(info=info), pb.Task.Wasip1.Response(error="e")]
    whole = pb.Task.Wasip1.JobResponse(info=info, tasks=tasks)
    assert json.loads(codec.encode_json(codec.response(1, whole)))["payload"] == {
        "@type": "wasimoff/wasimoff.v1.Task.Wasip1.JobResponse",
        "info": {"id": "t"},
        "tasks": [{"info": {"id": "t"}}, {"error": "e"}],
    }
    resources = pb.Event.ProviderResources(concurrency=1, extension=1, engine="e", runs=["wasip1"])
    assert json.loads(codec.to_json(resources)) == {"concurrency": 1}
