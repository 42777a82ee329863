"""How long a tab takes from being opened to its first finished task, which was queued before: with the snapshot and without.

    python bench/startup.py [--rounds 5]

Alternating in one run: a plain start of Pyodide (`#snapshot=no`) and the page as it is, each with a fresh profile and then once
more with the same profile after the browser was restarted. Prints medians, their ratios, and the bytes of a first visit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.async_api import Playwright, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from e2e.chromium import FLAGS
from e2e.processes import TESTING, BrokerProcess
from wasimoff import AsyncClient
from wasimoff.chromium import find

KINDS = {"plain": "no", "snapshot": "yes"}
SETTLE = 1.0
"""Seconds that Chromium has before a visit for its own start, which on a fresh profile takes up to 300 ms of both cores."""
LINGER = 1.5
"""Seconds that a visit lasts after the first task: what it keeps for the next one is written then."""


async def visit(playwright: Playwright, profile: str, url: str, client: AsyncClient, kind: str) -> tuple[float, float]:
    """Seconds from opening the page until (it lends, the task that waited has ended)."""
    path = find(playwright)
    context = await playwright.chromium.launch_persistent_context(
        profile, executable_path=path, args=list(FLAGS), headless=True
    )
    try:
        page = context.pages[0]
        task = asyncio.create_task(client.run(TESTING / "noop.wasm"))
        while (await client.status()).waiting < 1:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
        await asyncio.sleep(SETTLE)
        began = time.perf_counter()
        await page.goto(f"{url}/#autoconnect=yes&workers=2&snapshot={KINDS[kind]}", wait_until="commit")
        connected = asyncio.create_task(page.wait_for_selector("html[data-link=connected]", state="attached", timeout=120_000))
        result = await asyncio.wait_for(task, 120)
        done = time.perf_counter() - began
        assert result.ok, result.error
        await connected
        ready = time.perf_counter() - began
        await asyncio.sleep(LINGER)
        return ready, done
    finally:
        await context.close()


async def first_visit_bytes(playwright: Playwright, url: str, client: AsyncClient) -> int:
    """Bytes that the broker sends to a browser that has never been here."""
    target = url.rpartition(":")[2]
    sent = 0

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]) -> None:
        while data := await reader.read(1 << 16):
            count(len(data))
            writer.write(data)
            await writer.drain()
        writer.close()

    def add(length: int) -> None:
        nonlocal sent
        sent += length

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = await asyncio.open_connection("127.0.0.1", int(target))
        await asyncio.gather(pump(reader, theirs[1], lambda _: None), pump(theirs[0], writer, add), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        await visit(playwright, profile, f"http://localhost:{port}", client, "snapshot")
    server.close()
    return sent


async def measure(url: str, rounds: int) -> None:
    times: dict[str, list[float]] = {f"{kind} {what}": [] for kind in KINDS for what in ("fresh", "warm")}
    async with async_playwright() as playwright, AsyncClient(url) as client:
        await client.upload(TESTING / "noop.wasm")
        for _ in range(rounds):
            for kind in KINDS:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
                    for what in ("fresh", "warm"):
                        ready, done = await visit(playwright, profile, url, client, kind)
                        times[f"{kind} {what}"].append(done)
                        print(
                            f"  {kind:8} {what:5} lends after {ready * 1000:5.0f} ms, first task {done * 1000:5.0f} ms",
                            flush=True,
                        )
        sent = await first_visit_bytes(playwright, url, client)
    for what in ("fresh", "warm"):
        plain, ours = (statistics.median(times[f"{kind} {what}"]) for kind in KINDS)
        print(f"{what:5} profile: plain {plain * 1000:.0f} ms, snapshot {ours * 1000:.0f} ms, ratio {ours / plain:.2f}")
    print(f"first visit: {sent / 1e6:.1f} MB over the wire")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    broker = BrokerProcess()
    try:
        asyncio.run(measure(broker.url, parser.parse_args().rounds))
    finally:
        broker.close()


if __name__ == "__main__":
    main()
