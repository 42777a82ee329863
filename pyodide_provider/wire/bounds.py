"""How many fields an encoded message has, before it is decoded. Pure; imports only protobuf.

Every field costs the decoder much more memory and time than its two bytes on the wire: 64 MiB of them are gigabytes, and
many seconds in which nothing else is done.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.message import Message

FEW = 1 << 20
"""Bytes up to which a message, or a JSON text, is not looked at."""
MAX_FIELDS = 1_000_000
"""In a message and all inside it: a job of 100 000 tasks has some less."""
MAX_NESTED = 32
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def too_many(data: bytes, cls: type[Message], most: int = MAX_FIELDS) -> bool:
    """Whether an encoded message, which may be damaged, has more fields than `most`."""
    at = count = 0
    inside = [(len(data), _messages(cls.DESCRIPTOR))]
    while inside:
        end, known = inside[-1]
        if at >= end:
            inside.pop()
            continue
        count += 1
        if count > most:
            return True
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _LENGTH:
            size, at = _varint(data, at)
            inner = known.get(tag >> 3)
            if inner is not None and len(inside) < MAX_NESTED:
                inside.append((at + size, _messages(inner)))
            else:
                at += size
        elif wire == _VARINT:
            _, at = _varint(data, at)
        elif wire in (_EIGHT, _FOUR):
            at += 8 if wire == _EIGHT else 4
    return False


def too_many_values(text: str | bytes) -> bool:
    """Whether a JSON text has more values than a message may have fields: by its commas and braces, those in strings too."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_FIELDS


@cache
def _messages(message: Any) -> dict[int, Any]:
    """By number, the fields of a message that are messages; of its descriptor, of whose classes protobuf has several."""
    return {field.number: field.message_type for field in message.fields if field.message_type is not None}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number there and where it ends; of what is cut off or too long, some number."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    number = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    return number, at + 1
