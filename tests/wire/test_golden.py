"""The bytes that were seen on the running programs (WIRE.md §1): ours are these, and these are understood."""

from __future__ import annotations

import pytest

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

GOLDEN = {
    "listing request": (
        "0801100122310a2f776173696d6f66662f776173696d6f66662e76312e46696c6573797374656d2e4c697374696e672e52657175657374",
        lambda: codec.request(1, pb.Filesystem.Listing.Request()),
        pb.Envelope.Request,
        1,
        pb.Filesystem.Listing.Request(),
    ),
    "listing response": (
        "0801100222320a30776173696d6f66662f776173696d6f66662e76312e46696c6573797374656d2e4c697374696e672e526573706f6e7365",
        lambda: codec.response(1, pb.Filesystem.Listing.Response()),
        pb.Envelope.Response,
        1,
        pb.Filesystem.Listing.Response(),
    ),
    "ping": (
        "08021001221b0a19776173696d6f66662f776173696d6f66662e76312e50696e67",
        lambda: codec.request(2, pb.Ping()),
        pb.Envelope.Request,
        2,
        pb.Ping(),
    ),
    "resources with an explicit zero": (
        "0800100322340a2c776173696d6f66662f776173696d6f66662e76312e4576656e742e50726f76696465725265736f7572636573120408021000",
        lambda: codec.event(0, pb.Event.ProviderResources(concurrency=2, tasks=0)),
        pb.Envelope.Event,
        0,
        pb.Event.ProviderResources(concurrency=2, tasks=0),
    ),
}
ERROR = "080110021a18526566206e6f7420666f756e6420696e2073746f72616765"


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_sent_is_these_bytes(name: str):
    expected, made, *_ = GOLDEN[name]
    assert made().hex() == expected


@pytest.mark.parametrize("name", GOLDEN)
def test_these_bytes_are_understood(name: str):
    text, _, kind, sequence, payload = GOLDEN[name]
    (envelope,) = codec.decode(bytes.fromhex(text))
    assert (envelope.type, envelope.sequence, envelope.HasField("sequence")) == (kind, sequence, True)
    assert codec.unpack(envelope) == payload


def test_an_error_is_these_bytes():
    assert codec.failure(1, "Ref not found in storage").hex() == ERROR
    (envelope,) = codec.decode(bytes.fromhex(ERROR))
    assert (envelope.type, envelope.sequence, envelope.error) == (codec.RESPONSE, 1, "Ref not found in storage")
    assert not envelope.HasField("payload")
