"""Frames to envelopes and back. Total: any bytes give messages or `PeerError`. Imports only protobuf, generated classes.

Envelopes are assembled from their parts by hand: in 0.4 to 0.6 of the time that the generated classes take, in the tab's pure
Python in 0.05 to 0.4, and every task pays it four times (`bench/codec.py`); tests hold both to the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from . import messages_pb2 as pb
from .bounds import FEW, MAX_FIELDS, too_many, too_many_values
from .errors import PeerError

M = TypeVar("M", bound=Message)

EXTENSION = 1
"""The level of own fields that we speak: `ProviderResources.extension`."""

OWN_FROM = 100
"""Fields with this number and above are not of the public protocol."""

PROVIDER_BINARY = "wasimoff_provider_v1_protobuf"
PROVIDER_JSON = "wasimoff_provider_v1_json"
SUBPROTOCOLS = (PROVIDER_BINARY, PROVIDER_JSON)

REQUEST = int(pb.Envelope.Request)
RESPONSE = int(pb.Envelope.Response)
EVENT = int(pb.Envelope.Event)

UNDECODABLE = (DecodeError, UnicodeDecodeError)
"""What `FromString` raises; the second only in protobuf's pure Python, for text that is not UTF-8."""

MAX_BATCH = 1024
"""Envelopes in one frame, at most."""

PAYLOADS: dict[str, type[Message]] = {
    cls.DESCRIPTOR.full_name: cls
    for cls in (
        pb.Task.Cancel,
        pb.Task.Wasip1.Request,
        pb.Task.Wasip1.Response,
        pb.Task.Wasip1.JobRequest,
        pb.Task.Wasip1.JobResponse,
        pb.Task.Pyodide.Request,
        pb.Task.Pyodide.Response,
        pb.Filesystem.Listing.Request,
        pb.Filesystem.Listing.Response,
        pb.Filesystem.Probe.Request,
        pb.Filesystem.Probe.Response,
        pb.Filesystem.Upload.Request,
        pb.Filesystem.Upload.Response,
        pb.Filesystem.Download.Request,
        pb.Filesystem.Download.Response,
        pb.Event.GenericMessage,
        pb.Event.ProviderResources,
        pb.Event.ClusterInfo,
        pb.Event.Throughput,
        pb.Event.FileSystemUpdate,
        pb.Event.TaskOutput,
        pb.Event.TaskInput,
        pb.Event.TaskInputTaken,
        pb.Ping,
    )
}
"""Every message that may ride in an envelope, by its full name."""


def varint(number: int) -> bytes:
    """The protobuf varint of a number in 0 … 2**64 - 1."""
    if number < 0x4000:
        return _VARINTS[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS = [bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(0x4000)]


def _url_field(name: str) -> bytes:
    url = b"wasimoff/" + name.encode()
    return b"\x0a" + varint(len(url)) + url + b"\x12"


_URL_FIELDS: dict[type[Message], bytes] = {cls: _url_field(name) for name, cls in PAYLOADS.items()}
_BY_URL: dict[str, type[Message]] = {f"wasimoff/{name}": cls for name, cls in PAYLOADS.items()}


def _envelope(sequence: int, kind: bytes, payload: Message) -> bytes:
    """`kind` is the encoded type and the tag of the payload that follows it."""
    value = payload.SerializeToString()
    head = _URL_FIELDS[type(payload)]
    size = len(value)
    if size:
        length = _VARINTS[size] if size < 0x4000 else varint(size)
    else:
        # Any knows no presence: an empty value is not written, as the generated classes have it.
        head, length = head[:-1], b""
    size += len(head) + len(length)
    return b"\x08%b%b%b%b%b%b" % (
        _VARINTS[sequence] if sequence < 0x4000 else varint(sequence),
        kind,
        _VARINTS[size] if size < 0x4000 else varint(size),
        head,
        length,
        value,
    )


def request(sequence: int, payload: Message) -> bytes:
    """An envelope that asks; the peer answers with the same sequence."""
    return _envelope(sequence, b"\x10\x01\x22", payload)


def response(sequence: int, payload: Message) -> bytes:
    """An envelope that answers the request of that sequence."""
    return _envelope(sequence, b"\x10\x02\x22", payload)


def failure(sequence: int, error: str) -> bytes:
    """An envelope that answers the request of that sequence with an infrastructure error."""
    text = error.encode("utf-8", "replace")
    return b"\x08%b\x10\x02\x1a%b%b" % (varint(sequence), varint(len(text)), text)


def event(sequence: int, payload: Message) -> bytes:
    """An envelope that tells and asks nothing."""
    return _envelope(sequence, b"\x10\x03\x22", payload)


def batch(envelopes: Iterable[bytes]) -> bytes:
    """One frame out of several encoded envelopes: only for peers that have shown an own field."""
    parts: list[bytes] = []
    for envelope in envelopes:
        parts += (_BATCH, varint(len(envelope)), envelope)
    return b"".join(parts)


_BATCH = b"\xa2\x06"


def is_batch(frame: bytes) -> bool:
    """Whether a frame is a batch, which only a peer of our own kind sends."""
    return frame.startswith(_BATCH)


def usage(
    wall: float, cpu: float, memory: int, bytes_in: int, bytes_out: int, compile: float, cached: bool, engine: str
) -> bytes:
    """The encoded fields of a `Task.Usage`; times in seconds, sizes in bytes."""
    parts: list[bytes] = []
    numbers = (int(wall * 1e6), int(cpu * 1e6), memory, bytes_in, bytes_out, int(compile * 1e6), int(cached))
    for tag, number in zip(_USAGE_TAGS, numbers, strict=True):
        if number:
            parts += (tag, varint(number))
    if engine:
        name = engine.encode()
        parts += (b"\x42", varint(len(name)), name)
    return b"".join(parts)


_USAGE_TAGS = tuple(bytes((field << 3,)) for field in range(1, 8))


def wasip1_output(
    sequence: int,
    task: str,
    status: int,
    stdout: bytes,
    stderr: bytes,
    artifacts: bytes | None = None,
    usage: bytes = b"",
) -> bytes:
    """The envelope with a `Task.Wasip1.Response` of a program that ended; `artifacts` is a zip. Status is 0 … 255."""
    output = [b"\x08", varint(status)]
    if stdout:
        output += (b"\x12", varint(len(stdout)), stdout)
    if stderr:
        output += (b"\x1a", varint(len(stderr)), stderr)
    if artifacts is not None:
        file = [b"\x12\x0fapplication/zip\x1a", varint(len(artifacts)), artifacts]
        output += (b"\x22", varint(sum(map(len, file))), *file)
    return _wasip1_response(sequence, task, [b"\x1a", varint(sum(map(len, output))), *output], usage)


def wasip1_error(sequence: int, task: str, error: str, usage: bytes = b"") -> bytes:
    """The envelope with a `Task.Wasip1.Response` of a task that failed by its own fault."""
    text = error.encode("utf-8", "replace")
    return _wasip1_response(sequence, task, [b"\x12", varint(len(text)), text], usage)


def _wasip1_response(sequence: int, task: str, result: list[bytes], usage: bytes) -> bytes:
    if usage:
        result += (b"\xa2\x06", varint(len(usage)), usage)
    name = task.encode()
    info = b"\x0a%b%b" % (varint(len(name)), name)
    value = [b"\x0a", varint(len(info)), info, *result]
    head = _URL_FIELDS[pb.Task.Wasip1.Response]
    body = [head, varint(size := sum(map(len, value)))]
    size += sum(map(len, body))
    # One join: outputs may be large, and each copy of them is felt.
    return b"".join([b"\x08", varint(sequence), b"\x10\x02\x22", varint(size), *body, *value])


def decode(frame: bytes) -> Iterable[pb.Envelope]:
    """The envelopes of one binary frame, in order. A batch is one from its first byte; further on it means nothing.

    Raises PeerError when the bytes are not an envelope, or a batch is too long, nested or mixed with other fields.
    """
    if len(frame) > FEW and too_many(frame, pb.Envelope):
        raise PeerError(f"frame of {len(frame)} bytes with more than {MAX_FIELDS} fields")
    try:
        envelope = pb.Envelope.FromString(frame)
    except UNDECODABLE:
        raise PeerError(f"frame of {len(frame)} bytes is not an Envelope") from None
    return _members(envelope) if frame[:2] == _BATCH else (envelope,)


def _members(envelope: pb.Envelope) -> Iterable[pb.Envelope]:
    if len(envelope.batch) > MAX_BATCH:
        raise PeerError(f"batch of {len(envelope.batch)} envelopes, at most {MAX_BATCH} are taken")
    if len(envelope.ListFields()) > 1:
        raise PeerError("an Envelope with a batch carries nothing else")
    if any(member.batch for member in envelope.batch):
        raise PeerError("a batch may not hold another batch")
    return envelope.batch


def unpack(envelope: pb.Envelope) -> Message:
    """The payload of an envelope; any prefix of its type_url is accepted.

    Raises PeerError when there is none, its type is not ours, or its bytes don't decode.
    """
    payload = envelope.payload
    cls = _BY_URL.get(payload.type_url) or PAYLOADS.get(payload.type_url.rpartition("/")[2])
    if cls is None:
        if not envelope.HasField("payload"):
            raise PeerError("Envelope without payload")
        raise PeerError(f"unknown payload type {payload.type_url[:200]!r}")
    return from_binary(payload.value, cls, "payload")


def from_binary(data: bytes, cls: type[M], what: str) -> M:
    """A message out of its bytes. Raises PeerError, which calls them by `what` they are to the reader."""
    if len(data) > FEW and too_many(data, cls):
        raise PeerError(f"{what} of {len(data)} bytes with more than {MAX_FIELDS} fields")
    try:
        return cls.FromString(data)
    except UNDECODABLE:
        raise PeerError(f"{what} does not decode as {cls.DESCRIPTOR.full_name}") from None


def decode_json(text: str) -> Iterable[pb.Envelope]:
    """The envelopes of one text frame (protojson). Raises PeerError as `decode` does."""
    envelope = from_json(text, pb.Envelope)
    return _members(envelope) if envelope.batch else (envelope,)


def encode_json(frame: bytes) -> str:
    """The text frame that says the same as a binary one of ours, but for our own fields."""
    envelope = pb.Envelope.FromString(frame)
    if envelope.HasField("payload"):
        payload = unpack(envelope)
        _leave_out_own(payload)
        envelope.payload.value = payload.SerializeToString()
    return json_format.MessageToJson(envelope, indent=None)


def to_json(message: Message) -> str:
    """Compact protojson; `message` loses our own fields, since in JSON a reader may refuse names that it doesn't know."""
    _leave_out_own(message)
    return json_format.MessageToJson(message, indent=None)


def _leave_out_own(message: Message) -> None:
    for field, value in message.ListFields():
        if field.number >= OWN_FROM:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                _leave_out_own(part)


def from_json(text: str | bytes, cls: type[M]) -> M:
    """A message out of protojson; unknown fields are ignored. Raises PeerError with what is wrong and where."""
    if len(text) > FEW and too_many_values(text):
        raise PeerError(f"a JSON {cls.DESCRIPTOR.full_name} with more than {MAX_FIELDS} values")
    try:
        return json_format.Parse(text, cls(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise PeerError(f"not a JSON {cls.DESCRIPTOR.full_name}: {str(error)[:300]}") from None
    except RecursionError:
        raise PeerError(f"not a JSON {cls.DESCRIPTOR.full_name}: nested too deeply") from None
