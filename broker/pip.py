"""The operator's own pip, to find wheels for Pyodide on the package index that it is configured for. Imports the errors.

Nothing of a package is executed: wheels only, and never installed.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from broker.errors import Refused

PYTHON = "3.14"
ABI = "2026_0"
PLATFORM = f"pyemscripten_{ABI}_wasm32"
"""Of the Pyodide that tasks run in."""
SECONDS = 60.0
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)")
_AWAY = re.compile(r"ConnectionError|NewConnectionError|Max retries|timed out|HTTPError")
_CONFLICT = re.compile(r"Cannot install .{1,500}? conflicting dependencies")


async def download(requirements: Sequence[str], into: Path, options: Sequence[str] = ()) -> None:
    """Wheels of packages and of all they need.

    Raises Refused: `not_found` for what there is none of, `unavailable`, `deadline_exceeded`.
    """
    tags = ["--platform", PLATFORM, "--platform", "any", "--python-version", PYTHON, "--implementation", "cp"]
    abis = [part for abi in ("cp314", "abi3", "none") for part in ("--abi", abi)]
    pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
    patience = ["--retries", "1", "--timeout", "10"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *pip, *tags, *abis, *patience, *options, "--dest", str(into), "--", *requirements,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        raise Refused("deadline_exceeded", f"pip did not find {', '.join(requirements)} within {SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise refusal(requirements, said.decode("utf-8", "replace"))


def refusal(requirements: Sequence[str], said: str) -> Refused:
    """What pip's words mean."""
    if "No module named pip" in said:
        return Refused("not_found", f"no package {', '.join(requirements)} for Pyodide: this broker has no pip to look with")
    missing = _MISSING.search(said)
    name = missing[1] if missing else ", ".join(requirements)
    if missing and not _AWAY.search(said):
        text = f"no package {name} for Pyodide: looked with pip for a wheel of Python {PYTHON}, pure or {PLATFORM}"
        return Refused("not_found", text)
    if conflict := _CONFLICT.search(said):
        return Refused("not_found", f"no set of packages fits: {conflict[0].strip()}")
    last = next((line for line in reversed(said.splitlines()) if "rror" in line), said.strip()[-200:])
    return Refused("unavailable", f"pip could not get {name}: {last.removeprefix('ERROR: ')[:300]}")
