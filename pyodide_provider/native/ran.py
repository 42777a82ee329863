"""What a program is given, how it ended, and why it stopped. Imports wasmtime and the core's data."""

from __future__ import annotations

import re
from typing import NamedTuple

from wasmtime import Trap, WasmtimeError

from ..core.run import Failed, Limits
from .limits import memory_text
from .traps import stop_text

PAGE = 65536


class Given(NamedTuple):
    """What a program is given: stdin as bytes, or the path of a file; the folder that is its "/"."""

    args: tuple[str, ...]
    envs: tuple[str, ...]
    stdin: bytes | str
    root: str


class Ran(NamedTuple):
    """How a program ended: its exit code, or why it stopped; and the bytes of its memory."""

    ended: int | Failed
    memory: int


def why(error: Trap | WasmtimeError, used: int, limits: Limits) -> str:
    """Why a program stopped; `used` bytes of memory were its own."""
    too_large = re.search(r"memory minimum size of (\d+) pages exceeds memory limits", str(error))
    if too_large:
        return too_much(int(too_large[1]), limits)
    text = stop_text(error)
    return memory_text(used, limits, f"in use when the program stopped: {text}") if used * 2 >= limits.memory else text


def too_much(pages: int, limits: Limits) -> str:
    """That a memory is too large from the start."""
    return memory_text(pages * PAGE, limits, "needed to begin")
