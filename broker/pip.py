"""The operator's own pip, to find wheels for Pyodide on the package index that it is configured for. Imports the errors.

Nothing of a package is executed: wheels only, and never installed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from broker.errors import Refused

PYTHON = "3.14"
ABI = "2026_0"
PLATFORM = f"pyemscripten_{ABI}_wasm32"
"""Of the Pyodide that tasks run in."""
SECONDS = 60.0
LOOK_SECONDS = 0.2
"""Between two looks at how much has come."""
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)")
_AWAY = re.compile(r"ConnectionError|NewConnectionError|Max retries|timed out|HTTPError")
_CONFLICT = re.compile(r"Cannot install .{1,500}? conflicting dependencies")


async def download(requirements: Sequence[str], into: Path, most: int, options: Sequence[str] = ()) -> None:
    """Wheels of packages and of all they need, into a new folder. Nothing of it stays elsewhere, and pip is ended when it has
    brought more than `most` bytes.

    Raises Refused: `not_found` for what there is none of, `failed_precondition` for too much, `unavailable`,
    `deadline_exceeded`; OSError when the disk is full.
    """
    tags = ["--platform", PLATFORM, "--platform", "any", "--python-version", PYTHON, "--implementation", "cp"]
    abis = [part for abi in ("cp314", "abi3", "none") for part in ("--abi", abi)]
    pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    patience = ["--only-binary=:all:", "--retries", "1", "--timeout", "10"]
    room = into.with_name(f"{into.name}.tmp")
    room.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *pip, *tags, *abis, *patience, *options, "--dest", str(into), "--", *requirements,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(room)},
    )  # fmt: skip
    talk = asyncio.ensure_future(process.communicate())
    watch = asyncio.ensure_future(_until_more(most, room, into))
    try:
        done, _ = await asyncio.wait((talk, watch), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        if process.returncode is None:
            process.kill()
        await asyncio.wait((talk, watch))
    if watch in done:
        raise too_large(most)
    if talk not in done:
        raise Refused("deadline_exceeded", f"pip did not find {', '.join(requirements)} within {SECONDS:.0f} s")
    if process.returncode:
        raise refusal(requirements, talk.result()[1].decode("utf-8", "replace"))


async def _until_more(most: int, *folders: Path) -> None:
    """Until one of them has more bytes: the first holds what is on its way, the other what has come."""
    while True:
        if await asyncio.to_thread(lambda: max(map(_size, folders))) > most:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _size(folder: Path) -> int:
    """Bytes below it, which may be gone in the next moment."""
    size = 0
    for inside, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                size += os.lstat(os.path.join(inside, file)).st_size
    return size


def too_large(most: int) -> Refused:
    return Refused("failed_precondition", f"the packages have more than {most} bytes, which is the most that is taken")


def refusal(requirements: Sequence[str], said: str) -> Refused:
    """What pip's words mean. Raises OSError when they tell of a full disk."""
    if "No module named pip" in said:
        return Refused("not_found", f"no package {', '.join(requirements)} for Pyodide: this broker has no pip to look with")
    missing = _MISSING.search(said)
    name = missing[1] if missing else ", ".join(requirements)
    if missing and not _AWAY.search(said):
        text = f"no package {name} for Pyodide: looked with pip for a wheel of Python {PYTHON}, pure or {PLATFORM}"
        return Refused("not_found", text)
    if conflict := _CONFLICT.search(said):
        return Refused("not_found", f"no set of packages fits: {conflict[0].strip()}")
    if "No space left" in said or "Disk quota" in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    last = next((line for line in reversed(said.splitlines()) if "rror" in line), said.strip()[-200:])
    return Refused("unavailable", f"pip could not get {name}: {last.removeprefix('ERROR: ')[:300]}")
