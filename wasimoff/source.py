"""Where content comes from: a ref, an alias, something local; and reading it within a limit. Standard library only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

from .errors import UsageError
from .task import Source

CHUNK = 2**20
REF = re.compile(r"sha256:[0-9a-f]{64}\Z")


def locate(source: Source) -> str | Path | bytes:
    """What is meant: a ref or alias (str), a local file or folder (Path), or the bytes themselves.

    A string that names something local is that; one that looks like a path but names nothing raises UsageError.
    """
    if isinstance(source, bytes):
        return source
    text = os.fspath(source)
    if isinstance(source, str) and text.startswith("sha256:"):
        if not REF.match(text):
            raise UsageError(f"{text[:100]!r} is no ref: sha256: is followed by 64 of 0-9 a-f")
        return text
    if "\0" in text:
        raise UsageError(f"{text[:100]!r} can't be a file or an alias")
    full = os.path.expanduser(text)
    if os.path.exists(full):
        return Path(full)
    if not isinstance(source, str) or os.sep in text or text.startswith((".", "~")):
        raise UsageError(f"there is no file {text[:300]!r}")
    return text


def read_at_most(file: IO[bytes], limit: int) -> bytes | None:
    """All that is in a file; None when that is more than `limit` bytes. Takes no more memory than there is content."""
    content = bytearray()
    while chunk := file.read(CHUNK):
        content += chunk
        if len(content) > limit:
            return None
    return bytes(content)
