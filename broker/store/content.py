"""What may be stored: wasm modules and zips, told by their first bytes, or data; and names for it. Imports the errors."""

from __future__ import annotations

import re

from broker.errors import Refused, UnsupportedMedia

WASM = "application/wasm"
ZIP = "application/zip"
BYTES = "application/octet-stream"
"""Anything: what somebody says is data."""
HEAD = 4
"""Bytes that tell the media type."""

_MAGIC = {b"\0asm": WASM, b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP}
_NAME = re.compile(r"(?![-.]+$|-|\s)[^/\\]{1,128}(?<!\s)")
_REF = re.compile(r"(?:sha-?256[:_-]?)?[0-9a-f]{64}|sha-?256[:_-].*", re.IGNORECASE | re.ASCII | re.DOTALL)


def media_type(head: bytes, anything: bool = False) -> str:
    """The media type of content that begins with `head`. Raises UnsupportedMedia, unless anything may be stored."""
    media = _MAGIC.get(head[:HEAD], BYTES if anything else None)
    if media is None:
        what = f"it begins with {head[:HEAD]!r}" if head else "it is empty"
        raise UnsupportedMedia(f"this is neither a WebAssembly module (.wasm) nor a zip: {what}")
    return media


def check_name(name: str) -> None:
    """Raises Refused when a blob can't be called so."""
    if _REF.fullmatch(name):
        raise Refused("invalid_argument", f"the name {name[:100]!r} looks like a digest: choose another, or give none")
    if not _NAME.fullmatch(name) or not name.isprintable():
        text = (
            f"the name {name[:100]!r} can't be used: give 1 to 128 printable characters without / and \\, no - or space first"
        )
        raise Refused("invalid_argument", text)
