"""What a caller means by a binary or rootfs: a ref, an alias, something local. Standard library only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import UsageError
from .task import Source

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
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    try:
        found = path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(f"{text[:100]!r} can't be a file: {error}") from None
    if found:
        return path
    if not isinstance(source, str) or os.sep in text or text.startswith((".", "~")):
        raise UsageError(f"there is no file {text[:300]!r}")
    return text
