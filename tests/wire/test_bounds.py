"""Messages with very many fields are refused before they are decoded; the count is right for any message."""

from __future__ import annotations

import time

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.bounds import FEW, MAX_FIELDS, too_many
from pyodide_provider.wire.codec import varint
from pyodide_provider.wire.errors import PeerError

MANY = MAX_FIELDS + 1


def field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def payload(cls: type[Message], value: bytes) -> pb.Envelope:
    envelope = pb.Envelope(sequence=1, type=pb.Envelope.Request)
    envelope.payload.type_url = f"wasimoff/{cls.DESCRIPTOR.full_name}"
    envelope.payload.value = value
    return envelope


BOMBS: dict[str, tuple[type[Message], bytes]] = {
    "tasks": (pb.Task.Wasip1.JobRequest, b"\x22\x00" * MANY),
    "args": (pb.Task.Wasip1.Request, field(b"\x1a", b"\x12\x00" * MANY)),
    "roots": (pb.Task.Wasip1.Request, field(b"\x1a", b"\xa2\x06\x00" * MANY)),
    "events": (pb.Task.Wasip1.Request, field(b"\x0a", field(b"\x2a", b"\x1a\x00" * MANY))),
    "files": (pb.Filesystem.Listing.Response, b"\x0a\x00" * MANY),
    "unknown": (pb.Ping, b"\xf8\x3f\x00" * MANY),
    "numbers of two bytes": (pb.Task.Wasip1.JobRequest, b"\xa2\x80\x00\x00" * MANY),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_very_many_fields_are_refused(bomb: str) -> None:
    cls, value = BOMBS[bomb]
    with pytest.raises(PeerError, match=f"payload of {len(value)} bytes with more than {MAX_FIELDS} fields"):
        codec.unpack(payload(cls, value))


@pytest.mark.parametrize("frame", [b"\xa2\x06\x00" * MANY, b"\x08\x01" + b"\xa2\x06\x00" * MANY])
def test_very_many_envelopes_are_refused(frame: bytes) -> None:
    with pytest.raises(PeerError, match="more than 1000000 fields"):
        codec.decode(frame)


def test_json_of_very_many_values_is_refused() -> None:
    with pytest.raises(PeerError, match="with more than 1000000 values"):
        codec.from_json('{"tasks":[' + "{}," * MANY + "{}]}", pb.Task.Wasip1.JobRequest)


def test_a_large_job_and_large_bytes_are_taken() -> None:
    params = pb.Task.Wasip1.Params(binary=pb.File(ref="app"), args=["app", "1", "2"], envs=["A=1"])
    job = pb.Task.Wasip1.JobRequest(parent=params, tasks=[params] * 100_000)
    assert codec.unpack(payload(pb.Task.Wasip1.JobRequest, job.SerializeToString())) == job
    request = pb.Task.Wasip1.Request(params=pb.Task.Wasip1.Params(stdin=b"\x22\x00" * (4 << 20)))
    assert codec.unpack(payload(pb.Task.Wasip1.Request, request.SerializeToString())) == request


@given(st.lists(st.lists(st.text(max_size=300), max_size=9), max_size=9), st.integers(0, 2**64 - 1))
def test_fields_are_counted_at_every_depth(args: list[list[str]], memory: int) -> None:
    job = pb.Task.Wasip1.JobRequest(parent=pb.Task.Wasip1.Params(limits=pb.Task.Limits(memory=memory)))
    for texts in args:
        job.tasks.add(args=texts)
    count = 3 + len(args) + sum(map(len, args))
    data = job.SerializeToString()
    assert too_many(data, type(job), count - 1)
    assert not too_many(data, type(job), count)


@given(st.binary(max_size=200))
def test_it_is_total(data: bytes) -> None:
    too_many(data, pb.Envelope, 50)


def test_deep_nesting_ends() -> None:
    data = b""
    for _ in range(200):
        data = field(b"\xa2\x06", data + bytes(FEW // 200))
    began = time.monotonic()
    too_many(data, pb.Envelope)
    assert time.monotonic() - began < 30
