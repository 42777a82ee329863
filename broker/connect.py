"""Connect's unary protocol over HTTP: negotiation, bodies, errors (connectrpc.com/docs/protocol). Imports bodies, the wire."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TypeVar

from aiohttp import web
from google.protobuf.message import Message

from broker import bodies
from broker.errors import HTTP_STATUS, Refused
from broker.negotiation import encoding
from pyodide_provider.wire import codec
from pyodide_provider.wire.errors import PeerError

M = TypeVar("M", bound=Message)

PROTO = "application/proto"
JSON = "application/json"
GZIP_FROM = 1024
"""Bytes from which a response is compressed for a client that accepts it."""
LARGE = 1 << 17
"""Bytes of a message from which it is encoded, and decoded from JSON, in a thread."""
MAX_TIMEOUT_DIGITS = 10


async def read(request: web.Request, cls: type[M]) -> tuple[M, bool, int]:
    """The message in a request's body, whether it came as JSON, and its size in bytes. Raises Refused."""
    content_type = request.headers.get("Content-Type", "")
    if content_type == PROTO:
        as_json = False
    else:
        media = content_type.partition(";")[0].strip().lower()
        if media not in (JSON, PROTO):
            raise web.HTTPUnsupportedMediaType(
                text=f"Content-Type {content_type[:100]!r} is not taken here: send {PROTO} or {JSON}\n",
                headers={"Accept-Post": f"{PROTO}, {JSON}"},
            )
        as_json = media == JSON
    packed = request.headers.get("Content-Encoding")
    if packed and packed.lower() not in ("gzip", "identity", "deflate"):
        raise Refused("unimplemented", f"Content-Encoding {packed[:40]!r} is not taken here: use gzip or none")
    body = await bodies.read(request, request.client_max_size, "WASIMOFF_MAX_BODY; or upload files and refer to them")
    try:
        message = await _from_json(body, cls) if as_json else codec.from_binary(body, cls, "the body")
    except PeerError as error:
        raise Refused("invalid_argument", str(error)) from None
    return message, as_json, len(body)


async def _from_json(body: bytes, cls: type[M]) -> M:
    """Large ones in a thread: a megabyte may take a second."""
    if len(body) < LARGE:
        return codec.from_json(body, cls)
    return await asyncio.to_thread(codec.from_json, body, cls)


def deadline(request: web.Request) -> float | None:
    """The loop's time at which Connect-Timeout-Ms ends; None without one. Raises Refused."""
    text = request.headers.get("Connect-Timeout-Ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_TIMEOUT_DIGITS):
        raise Refused("invalid_argument", "Connect-Timeout-Ms is a whole number of milliseconds with at most 10 digits")
    return asyncio.get_running_loop().time() + int(text) / 1000


def check_version(request: web.Request) -> None:
    version = request.headers.get("Connect-Protocol-Version")
    if version is not None and version != "1":
        raise Refused("invalid_argument", f"Connect-Protocol-Version {version[:20]!r} is not known: 1 is")


async def write(request: web.Request, message: Message, as_json: bool) -> web.Response:
    """200 with the message in the form that the request had."""
    packed = bool(encoding(request.headers.get("Accept-Encoding"), ("gzip",)))
    if message.ByteSize() < LARGE:
        body, coding = _encode(message, as_json, packed)
    else:
        body, coding = await asyncio.to_thread(_encode, message, as_json, packed)
    return web.Response(body=body, headers={"Content-Type": JSON if as_json else PROTO, **coding})


def _encode(message: Message, as_json: bool, packed: bool) -> tuple[bytes, dict[str, str]]:
    body = codec.to_json(message).encode() if as_json else message.SerializeToString()
    if not packed or len(body) < GZIP_FROM:
        return body, {}
    return gzip.compress(body, 1), {"Content-Encoding": "gzip"}


def encode_error(refused: Refused) -> tuple[int, int, bytes]:
    """Connect's error: HTTP status, seconds for Retry-After (0: none) and a body, which is JSON whatever was asked."""
    body = json.dumps({"code": refused.code, "message": refused.message}).encode()
    return HTTP_STATUS.get(refused.code, 500), refused.retry_after, body


def refuse(refused: Refused) -> web.Response:
    """`encode_error` as a response."""
    status, retry_after, body = encode_error(refused)
    headers = {"Content-Type": JSON} | ({"Retry-After": str(retry_after)} if retry_after else {})
    return web.Response(status=status, body=body, headers=headers)
