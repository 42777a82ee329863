"""What can go wrong with reaching a broker, in words. Imports aiohttp."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import aiohttp

from .errors import AccessDenied, BrokerUnavailable, UsageError

SHORT = aiohttp.ClientTimeout(total=30)
"""For questions that a broker answers at once."""


@contextlib.contextmanager
def in_words(url: str) -> Iterator[None]:
    """Turn aiohttp's and the system's errors into ours. Raises BrokerUnavailable, AccessDenied, UsageError."""
    try:
        yield
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(url, error.status) from None
    except aiohttp.InvalidURL:
        raise UsageError(f"{url!r} is not a URL that can be reached") from None
    except aiohttp.ClientSSLError as error:
        raise BrokerUnavailable(f"no secure connection to the broker at {url}: {_os_words(error)}") from None
    except aiohttp.ClientConnectorError as error:
        raise BrokerUnavailable(f"can't reach the broker at {url}: {_os_words(error)}") from None
    except TimeoutError:
        raise BrokerUnavailable(f"the broker at {url} does not answer") from None
    except (aiohttp.ClientError, OSError) as error:
        raise BrokerUnavailable(f"the connection to the broker at {url} broke: {_broke(error)}") from None


def why_closed(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    """Why a WebSocket brings no more messages, when `message` is what it brought last."""
    if message.type is aiohttp.WSMsgType.CLOSE:
        words = str(message.extra or "")[:200]
        return f"closed with {message.data}" + (f": {words}" if words else "")
    error = socket.exception()
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError) or "pong" in str(error).lower():
        return "the broker fell silent"
    return f"connection lost: {error}" if error else "connection lost"


def _refused(url: str, status: int) -> Exception:
    if status in (401, 403):
        return AccessDenied(f"the broker at {url} does not let us in (HTTP {status})", "permission_denied")
    if status == 404:
        return BrokerUnavailable(f"there is no wasimoff broker at {url} (it answers HTTP 404)")
    return BrokerUnavailable(f"the broker at {url} does not open a WebSocket (it answers HTTP {status})")


def _broke(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it hung up"
    return type(error).__name__ if isinstance(error, aiohttp.ClientConnectionError) else str(error)


def _os_words(error: aiohttp.ClientConnectorError) -> str:
    """What the system said, without addresses and numbers: "connection refused"."""
    inner = error.os_error
    text = (inner.strerror or str(inner)) if isinstance(inner, OSError) else str(inner)
    if text.startswith(("Connect call failed", "Multiple exceptions")):
        text = "connection refused"
    return text[:1].lower() + text[1:]
