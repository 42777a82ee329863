"""Where the broker is: settings and URLs. Standard library only."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

from .errors import UsageError

DEFAULT = "http://localhost:4080"


def broker_url(url: str | None = None) -> str:
    """The broker's base URL, without a slash at its end: what is given, else WASIMOFF_BROKER, BROKER, the default.

    "host:port" means http; ws and wss are taken for http and https. Raises UsageError when it is no URL.
    """
    text = url or os.environ.get("WASIMOFF_BROKER") or os.environ.get("BROKER") or DEFAULT
    full = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urlsplit(full)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is not a URL: {error}") from None
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not host or any(c.isspace() for c in full):
        raise UsageError(f"{text!r} is not the URL of a broker; it looks like {DEFAULT}")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def storage_path(ref: str) -> str:
    """The path of a stored file, by ref or alias."""
    return f"/api/storage/{quote(ref, safe=':')}"
