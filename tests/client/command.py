"""The command `wasimoff` as users start it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

WASIMOFF = [sys.executable, "-W", "error", "-m", "wasimoff"]


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: bytes
    err: str


def environment(broker: str | None) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("WASIMOFF_", "COV"))}
    env.pop("BROKER", None)
    if broker:
        env["WASIMOFF_BROKER"] = broker
    return env


async def start(
    *arguments: str, broker: str | None = None, cwd: Path | None = None, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *WASIMOFF, *arguments, cwd=cwd, env=environment(broker), stdin=stdin,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def wasimoff(*arguments: str, broker: str | None = None, stdin: bytes | None = None, cwd: Path | None = None) -> Ended:
    """Run it to its end; `stdin` is piped in, None: there is none. No traceback may ever be seen."""
    pipe = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
    process = await start(*arguments, broker=broker, cwd=cwd, stdin=pipe)
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin)
    text = err.decode()
    assert "Traceback" not in text, text
    assert process.returncode is not None
    return Ended(process.returncode, out, text)
