"""Whatever bytes or text a peer sends, it is messages or a PeerError with a short reason; nothing else comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError
from tests.wire.values import MESSAGES, SEQUENCES, tried

PING = codec.request(1, pb.Ping())
TYPES = [pb.Envelope, *codec.PAYLOADS.values()]


def attempt(read: Callable[[], Any]) -> Any:
    """What comes out, or the reason in words; any other exception fails the test."""
    try:
        return read()
    except PeerError as error:
        reason = str(error)
    assert 0 < len(reason) < 500
    return reason


def receive(frame: bytes) -> None:
    """All that a socket does with a frame before it believes it."""
    envelopes = attempt(lambda: list(codec.decode(frame)))
    if not isinstance(envelopes, str):
        for envelope in envelopes:
            assert isinstance(envelope, pb.Envelope)
            attempt(lambda envelope=envelope: codec.unpack(envelope))


def receive_json(text: str) -> None:
    envelopes = attempt(lambda: list(codec.decode_json(text)))
    if not isinstance(envelopes, str):
        for envelope in envelopes:
            attempt(lambda envelope=envelope: codec.unpack(envelope))


# Bytes


def nested(depth: int, *, whole: bool) -> bytes:
    """Envelopes in envelopes; with `whole`, the lengths are right."""
    frame = PING
    for _ in range(depth):
        frame = codec.batch([frame]) if whole else b"\xa2\x06\xff\xff\x03" + frame
    return frame


def in_any(url: str, value: bytes) -> bytes:
    envelope = pb.Envelope(sequence=1, type=pb.Envelope.Request)
    envelope.payload.type_url, envelope.payload.value = url, value
    return envelope.SerializeToString()


NASTY: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(100),
    "a varint without an end": b"\x08" + b"\xff" * 100,
    "a varint of eleven bytes": b"\x08" + b"\xff" * 10 + b"\x01",
    "a length beyond the end": b"\x22\xff\xff\xff\xff\x0f",
    "a length of 2**63": b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "field number 0": b"\x00\x00",
    "a group without an end": b"\x0b" * 200,
    "an end of a group alone": b"\x0c",
    "wire type 6": b"\x0e",
    "the error is not UTF-8": b"\x1a\x02\xff\xfe",
    "the error is half a surrogate pair": b"\x1a\x03\xed\xa0\x80",
    "sequence as text": b"\x0a\x01x",
    "type of no name": b"\x10\xff\xff\xff\xff\x0f",
    "deep, lengths wrong": nested(2000, whole=False),
    "deep, lengths right": nested(2000, whole=True),
    "an unknown field of a megabyte": b"\xfa\x3f\x80\x80\x40" + bytes(1 << 20),
    "a payload that is no Any": b"\x22\x03\xff\xff\xff",
    "a type_url that is not UTF-8": b"\x22\x04\x0a\x02\xff\xfe",
    "an unknown type": in_any("wasimoff/wasimoff.v1.Nothing", b""),
    "an unknown type with a name of a megabyte": in_any("x" * (1 << 20), b""),
    "a container, not a payload": in_any("wasimoff/wasimoff.v1.Task", b""),
    "an Envelope in an Envelope": in_any("wasimoff/wasimoff.v1.Envelope", PING),
    "a payload that does not decode": in_any("wasimoff/wasimoff.v1.Task.Cancel", b"\x0a\xff"),
    "an Any in an Any": in_any("type.googleapis.com/google.protobuf.Any", b""),
    "no type_url": in_any("", b"x"),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "JSON": b'{"sequence": "1"}',
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_frames(name: str):
    receive(NASTY[name])


@tried
@given(st.binary(max_size=200))
def test_any_bytes(frame: bytes):
    receive(frame)


@tried
@given(st.data(), SEQUENCES, MESSAGES)
def test_frames_with_a_few_bytes_changed_or_cut(data: st.DataObject, sequence: int, payload: Message):
    frame = bytearray(codec.request(sequence, payload))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    receive(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


def refused(read: Callable[[], Iterable[Any]]) -> str:
    with pytest.raises(PeerError) as caught:
        list(read())
    return str(caught.value)


def test_reasons_name_what_is_wrong():
    assert refused(lambda: codec.decode(b"\xff")) == "frame of 1 bytes is not an Envelope"
    assert refused(lambda: [codec.unpack(pb.Envelope(sequence=1))]) == "Envelope without payload"
    assert "unknown payload type 'a/b.C'" in refused(lambda: [codec.unpack(*codec.decode(in_any("a/b.C", b"")))])
    broken = pb.Envelope.FromString(in_any("wasimoff/wasimoff.v1.Ping", b"\xff"))
    assert refused(lambda: [codec.unpack(broken)]) == "payload does not decode as wasimoff.v1.Ping"


@pytest.mark.parametrize("prefix", ["wasimoff/", "type.googleapis.com/", "a/b/c/", "/", ""])
def test_any_prefix_of_a_type_is_accepted(prefix: str):
    (envelope,) = codec.decode(in_any(prefix + "wasimoff.v1.Task.Cancel", b"\x0a\x01x"))
    assert codec.unpack(envelope) == pb.Task.Cancel(id="x")


# Batches


def test_a_batch_has_a_limit():
    assert len(list(codec.decode(codec.batch([PING] * codec.MAX_BATCH)))) == 1024
    assert refused(lambda: codec.decode(codec.batch([PING] * 1025))) == "batch of 1025 envelopes, at most 1024 are taken"


def test_a_batch_holds_no_batch():
    assert refused(lambda: codec.decode(codec.batch([PING, codec.batch([PING])]))) == "a batch may not hold another batch"


@pytest.mark.parametrize("extra", ["0801", "1001", "1a0178", "2200"], ids=["sequence", "type", "error", "payload"])
def test_a_batch_carries_nothing_else(extra: str):
    assert "nothing else" in refused(lambda: codec.decode(codec.batch([PING]) + bytes.fromhex(extra)))


# JSON


PING_JSON = codec.encode_json(PING)
NASTY_JSON: dict[str, str] = {
    "nothing": "",
    "not JSON": "{",
    "null": "null",
    "a list": "[]",
    "a number": "1",
    "deep lists": "[" * 100_000,
    "deep objects": '{"payload":' * 100_000,
    "deep, and well formed": '{"batch":[' * 500 + "{}" + "]}" * 500,
    "deep in what is ignored": '{"x":' + "[" * 500 + "]" * 500 + "}",
    "a huge integer": '{"sequence": ' + "9" * 5000 + "}",
    "a huge integer as text": '{"sequence": "' + "9" * 5000 + '"}',
    "beyond u64": '{"sequence": "18446744073709551616"}',
    "negative": '{"sequence": -1}',
    "a fraction": '{"sequence": 1.5}',
    "infinite": '{"sequence": 1e400}',
    "not a number": '{"sequence": NaN}',
    "a bool": '{"sequence": true}',
    "an object": '{"sequence": {}}',
    "an enum of no name": '{"type": "Question"}',
    "an enum of no number": '{"type": 99}',
    "an enum beyond 32 bits": '{"type": 99999999999}',
    "an enum as a list": '{"type": []}',
    "half a surrogate pair": '{"error": "\\ud800"}',
    "half a surrogate pair, raw": '{"error": "\ud800"}',
    "an error that is no text": '{"error": 5}',
    "a name twice": '{"sequence": 1, "sequence": 2}',
    "a payload of null": '{"payload": null}',
    "a payload that is a list": '{"payload": []}',
    "a payload that is a text": '{"payload": "x"}',
    "a payload that is a number": '{"payload": 5}',
    "a payload without a type": '{"payload": {}}',
    "a payload without a type, with fields": '{"payload": {"id": "x"}}',
    "a type that is no text": '{"payload": {"@type": 5}}',
    "a type that is null": '{"payload": {"@type": null}}',
    "a type that is a list": '{"payload": {"@type": []}}',
    "a type that is an object": '{"payload": {"@type": {}}}',
    "an empty type": '{"payload": {"@type": ""}}',
    "a type without a slash": '{"payload": {"@type": "wasimoff.v1.Ping"}}',
    "an unknown type": '{"payload": {"@type": "wasimoff/wasimoff.v1.Nothing"}}',
    "an Any of a Timestamp": '{"payload": {"@type": "x/google.protobuf.Timestamp", "value": 5}}',
    "an Any of a Timestamp without value": '{"payload": {"@type": "x/google.protobuf.Timestamp"}}',
    "an Any of a Duration": '{"payload": {"@type": "x/google.protobuf.Duration", "value": []}}',
    "an Any of an Any": '{"payload": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/google.protobuf.Any"}}}',
    "an Any of a Struct": '{"payload": {"@type": "x/google.protobuf.Struct", "value": {"a": [1, null]}}}',
    "a batch that is an object": '{"batch": {}}',
    "a batch of numbers": '{"batch": [1]}',
    "a batch of nulls": '{"batch": [null]}',
    "a batch of lists": '{"batch": [[]]}',
    "an own name of ours": '{"[wasimoff.v1.Envelope]": {}}',
    "an extension": '{"[x.y]": 1}',
}


@pytest.mark.parametrize("name", NASTY_JSON)
def test_nasty_texts(name: str):
    receive_json(NASTY_JSON[name])


def run(**fields: Any) -> str:
    return json.dumps({"payload": {"@type": "wasimoff/wasimoff.v1.Task.Wasip1.Request", **fields}})


DEADLINES: list[Any] = ["", "x", "1970", "-", "T", "Z", 5, None, {}, "1-1-1T1:1:1Z", "2024-01-01T00:00:00+"]
DEADLINES += ["9999-99-99T99:99:99Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59+99:99", "1970-01-01T00:00:00-0x:00"]
DEADLINES += ["2024-01-01T00:00:00.1234567890123Z", "\u0662\u0660\u0662\u0664-01-01T00:00:00Z"]


@pytest.mark.parametrize("deadline", DEADLINES, ids=repr)
def test_nasty_deadlines(deadline: Any):
    receive_json(run(qos={"deadline": deadline}))


@pytest.mark.parametrize("blob", ["=", "a", "aaa=a", "\x00", "é", "\ud800", 5, None, [], "////-___"], ids=repr)
def test_nasty_base64(blob: Any):
    receive_json(run(params={"binary": {"blob": blob}, "stdin": blob}))


@pytest.mark.parametrize("args", ["x", [None], [[]], {"a": 1}, [1], None])
def test_nasty_lists(args: Any):
    receive_json(run(params={"args": args}))


@pytest.mark.parametrize("params", [[], 5, "x", None, True])
def test_nasty_objects(params: Any):
    receive_json(run(params=params))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = ["@type", "sequence", "type", "error", "payload", "batch", "info", "qos", "params", "binary", "blob", "deadline"]
NAMES += ["trace", "events", "event", "unixnano", "created", "args", "id", "value", "ok", "status", "stdout", "overall"]
WELL_KNOWN = ["Any", "Timestamp", "Duration", "Struct", "Value", "FieldMask", "BoolValue"]
TYPE_URLS = [f"wasimoff/{name}" for name in codec.PAYLOADS] + [f"x/google.protobuf.{name}" for name in WELL_KNOWN]
TEXTS = [*TYPE_URLS, "Request", "1", "AAAA", "1970-01-01T00:00:00Z"]


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    typed = st.fixed_dictionaries({"@type": st.sampled_from(TYPE_URLS)}, optional={n: inner for n in NAMES if n != "@type"})
    return st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4) | typed


LIKE_OURS = st.recursive(JSON | st.sampled_from(TEXTS), objects, max_leaves=20)


@tried
@given(st.dictionaries(st.sampled_from(NAMES), LIKE_OURS, max_size=5))
@example({"payload": {"@type": 5}})
def test_any_json(value: Any):
    receive_json(json.dumps(value))


@tried
@given(st.sampled_from(TYPES), LIKE_OURS)
def test_any_json_as_any_message(cls: type[Message], value: Any):
    attempt(lambda: codec.from_json(json.dumps(value), cls))


@tried
@given(st.text(max_size=100) | st.binary(max_size=100))
@example(b"\xff")
@example(b"\xef\xbb\xbf{}")
@example("\ufeff{}")
@example(b"{}".decode().encode("utf-16"))
def test_any_text(text: str | bytes):
    attempt(lambda: codec.from_json(text, pb.Envelope))


@tried
@given(st.data(), SEQUENCES, MESSAGES)
def test_texts_with_a_few_letters_changed_or_cut(data: st.DataObject, sequence: int, payload: Message):
    text = list(codec.encode_json(codec.request(sequence, payload)))
    for _ in range(data.draw(st.integers(0, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from('0"{}[]:,\\.x-'))
    receive_json("".join(text)[: data.draw(st.integers(0, len(text)))])
