"""`wasimoff ps`: who computes, what waits."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from .. import exits, status
from .common import broker_options, connect, perform, put
from .show import seconds

if TYPE_CHECKING:
    from ..client import AsyncClient

HELP = """Show the providers and the queue.

\b
Examples:
  wasimoff ps
  wasimoff ps --watch 1
  wasimoff ps --json | jq '.providers | length'
"""
HEADINGS = ("ID", "NAME", "SLOTS", "RUNNING", "DONE", "FAILED", "UP", "ADDRESS", "ENGINE")


@click.command("ps", help=HELP)
@click.option("--watch", type=click.FloatRange(0.1, 3600), metavar="S", help="Show it again every S seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print what the broker says; with --watch one document a line.")
@broker_options
@click.pass_context
def ps_command(ctx: click.Context, watch: float | None, as_json: bool, broker: str | None, http: bool) -> int:
    perform(_show(connect(ctx, broker, http), watch, as_json))
    return 0


async def _show(client: AsyncClient, watch: float | None, as_json: bool) -> None:
    async with client:
        while True:
            text = _text(await client.status_document(), client.url, as_json, watch)
            clear = "\x1b[H\x1b[2J" if watch and not as_json and sys.stdout.isatty() else ""
            put(f"{clear}{text}")
            if not watch:
                return
            await asyncio.sleep(watch)


def _text(document: Any, url: str, as_json: bool, watch: float | None) -> str:
    if as_json:
        return json.dumps(document, indent=None if watch else 2, ensure_ascii=False)
    return table(status.parse(document), url)


def table(now: status.Status, url: str) -> str:
    """Providers in columns, and two lines about the broker and its queue."""
    lines = [f"broker {url} {exits.clean(now.version)}, up {seconds(now.uptime)}"]
    limit = f" (limit {now.limit})" if now.limit else ""
    lines.append(f"tasks: {now.waiting} waiting{limit}, {now.running} running, {now.done} done, {now.failed} failed")
    if now.note:
        lines.append(exits.clean(now.note))
    if not now.providers:
        return "\n".join([*lines, "no providers"] if not now.note else lines)
    rows = [HEADINGS, *(_row(provider) for provider in now.providers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines.append("")
    for row in rows:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _row(p: status.Provider) -> tuple[str, ...]:
    numbers = (p.concurrency, p.running, p.done, p.failed)
    cells = (str(p.id), p.name, *map(str, numbers), seconds(p.connected_seconds), p.address, p.engine)
    return tuple(exits.clean(cell).replace("\n", " ")[:60] for cell in cells)
