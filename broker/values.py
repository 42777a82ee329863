"""Texts that operators write, to values: each function raises ValueError saying what it wants. Standard library only."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:\[\]\s/]*)):(\d{1,5})", re.ASCII)
_ORIGIN = re.compile(r"(?:https?://)?[A-Za-z0-9.*-]+(?::\d{1,5})?|(?:https?://)?\[[0-9A-Fa-f:.]+\](?::\d{1,5})?", re.ASCII)
_MOST = 2**62


class Address(NamedTuple):
    """Where to listen. `host` None: on every interface; port 0: on a free one."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def address(text: str) -> Address:
    found = _ADDRESS.fullmatch(text.strip())
    if not found or int(found[3]) > 65535:
        raise ValueError("give host:port, for example localhost:4080, [::1]:4080 or :4080, with a port of 0 to 65535")
    return Address(found[1] or found[2] or None, int(found[3]))


def boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("give yes or no")


def count(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII) or int(text) < 1:
        raise ValueError("give a whole number of 1 or more")
    return int(text)


def size(text: str) -> int:
    """Bytes: `1048576`, `64MiB`, `1.5GB`, `512k`."""
    found = _SIZE.fullmatch(text.strip())
    number = float(found[1]) * _UNITS[found[2].lower()] if found and found[2].lower() in _UNITS else 0
    if not 1 <= number < _MOST:
        raise ValueError("give a size in bytes of 1 or more, for example 64MiB, 2GB or 1048576")
    return int(number)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e9:
        raise ValueError("give a number of seconds, 0 or more")
    return number


def positive_seconds(text: str) -> float:
    number = seconds(text)
    if number < 0.001:
        raise ValueError("give a number of seconds, 0.001 or more")
    return number


def path(text: str) -> Path | None:
    """None when there is no text; a file that is named must be there."""
    if not text:
        return None
    found = Path(os.path.expanduser(text))
    if not found.is_file():
        raise ValueError("there is no such file")
    return found


def storage(text: str) -> Path | None:
    """None: in memory."""
    if text == ":memory:":
        return None
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise ValueError("the home directory is unknown here: give an absolute path, or :memory:")
    if os.path.exists(expanded) and not os.path.isdir(expanded):
        raise ValueError("this is a file; give a directory (one that doesn't exist is made), or :memory:")
    return Path(os.path.abspath(expanded))


def origins(text: str) -> tuple[str, ...]:
    """Lower case, without a slash at the end; `*` anywhere allows all."""
    parts = tuple(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())
    for part in parts:
        if part != "*" and not _ORIGIN.fullmatch(part):
            raise ValueError(f"{part[:100]!r} is not an origin; give a list such as https://example.org,http://localhost:5173")
    return parts


def index(text: str) -> str:
    """A URL or an absolute path; `no`: none."""
    if text.strip().lower() in ("no", "none", "off"):
        return ""
    if text.startswith(("http://", "https://")):
        return text
    folder = os.path.abspath(os.path.expanduser(text))
    if not os.path.isfile(os.path.join(folder, "pyodide-lock.json")):
        raise ValueError("give a URL, or a folder that holds pyodide-lock.json, or no")
    return folder
