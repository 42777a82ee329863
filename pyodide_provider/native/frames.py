"""Slot messages over a stream socket: u32 header length, u32 body length, header, body. Pure.

Both ends are ours; the bounds are for a worker that has been broken into.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

PREFIX = struct.Struct("<II")
MAX_HEADER = 16 << 20
MAX_BODY = 2 << 30


class FrameError(Exception):
    """The stream does not hold frames."""


def pack(header: str, body: Sequence[bytes] = ()) -> list[bytes]:
    """The pieces of one frame, in order: small ones are joined, large ones are not copied."""
    text = header.encode()
    size = sum(map(len, body))
    head = PREFIX.pack(len(text), size) + text
    return [b"".join((head, *body))] if size < 65536 else [head, *body]


def sizes(prefix: bytes | bytearray, most: int = MAX_BODY) -> tuple[int, int]:
    """(header, body) lengths. Raises FrameError when they can't be."""
    header, body = PREFIX.unpack_from(prefix)
    if header > MAX_HEADER or body > most:
        raise FrameError(f"a frame of {header} + {body} bytes")
    return header, body


class FrameReader:
    """Frames out of chunks as they come, with bodies of at most `most` bytes."""

    def __init__(self, most: int = MAX_BODY) -> None:
        self._buffer = bytearray()
        self._most = most

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """(header, body) of every frame that is whole by now. Raises FrameError."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= PREFIX.size:
                header, body = sizes(buffer[at : at + PREFIX.size], self._most)
                begin = at + PREFIX.size
                end = begin + header + body
                if len(buffer) < end:
                    return
                at = end
                yield buffer[begin : begin + header].decode(), bytes(memoryview(buffer)[begin + header : end])
        except UnicodeDecodeError as error:
            raise FrameError("a header is not text") from error
        finally:
            del buffer[:at]
