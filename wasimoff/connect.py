"""Calls as Connect unary HTTP requests (connectrpc.com, Protocol Reference). Imports aiohttp, protobuf, `messages`.

A request whose connection is lost before the answer is sent again; cancelling drops the connection, which cancels the task.
"""

from __future__ import annotations

import asyncio
import io
import json

import aiohttp
from google.protobuf.message import DecodeError, Message

from . import dial, messages
from .backoff import Patience
from .errors import BrokerError, BrokerUnavailable, broker_error
from .live import Live

MAX_BODY = 256 * 2**20
"""Bytes of one answer that we take."""
LARGE = 2**20
"""Bytes from which a request is written in pieces, so that it does not hold up the event loop."""
MAX_SENDS = 5
"""How often one request is sent, at most."""
HEADERS = {"Content-Type": "application/proto", "Connect-Protocol-Version": "1", "Accept-Encoding": "identity"}
CODES = {400: "invalid_argument", 401: "unauthenticated", 403: "permission_denied", 404: "not_found", 408: "canceled"} | {
    413: "invalid_argument",
    415: "invalid_argument",
    429: "resource_exhausted",
    499: "canceled",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
}
"""What an HTTP status means when the body does not say."""


class ConnectLink:
    """A `Transport` over `POST /api/client/wasimoff.v1.Tasks/…`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, patience: float) -> None:
        self._session = session
        self._url = url
        self._seconds = patience
        self._connected = False

    async def call(self, request: Message, task: str, live: Live | None = None) -> Message:
        """As `Transport.call`; the task's id is in the request already. What a task writes comes at its end."""
        patience, sends = Patience(self._seconds), 0
        while True:
            try:
                sends += 1
                return await self._post(request)
            except BrokerUnavailable:
                pause = patience.pause(asyncio.get_running_loop().time())
                if not self._connected or pause is None or sends >= MAX_SENDS:
                    raise
                await asyncio.sleep(pause)

    async def close(self) -> None:
        """Nothing is kept open here but the session, which is its owner's."""

    async def _post(self, request: Message) -> Message:
        method, answer = messages.METHODS[type(request)]
        content = request.SerializeToString()
        url = f"{self._url}/api/client/wasimoff.v1.Tasks/{method}"
        with dial.in_words(self._url):
            async with self._session.post(
                url, data=content if len(content) < LARGE else io.BytesIO(content), headers=HEADERS
            ) as response:
                self._connected = True
                body = await read_bounded(response, MAX_BODY)
                if response.status != 200:
                    raise error_of(response, body)
        try:
            return answer.FromString(body)
        except DecodeError:
            raise BrokerError(f"the broker's answer to {method} can't be read", "internal") from None


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises BrokerError when it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            raise BrokerError(f"the broker's answer is longer than {limit} bytes", "internal")
    return bytes(body)


def error_of(response: aiohttp.ClientResponse, body: bytes) -> BrokerError:
    """The error in an answer that is not a success: Connect's JSON when there is one, else the HTTP status."""
    code, message = CODES.get(response.status, "unknown"), ""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        code, message = str(document.get("code") or code), str(document.get("message") or "")
    if not message:
        words = body[:400].decode("utf-8", "replace").strip()
        message = words if words and not words.startswith("<") else f"HTTP {response.status}"
    return broker_error(code, message, _seconds(response.headers.get("Retry-After")))


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by brokers."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else None
