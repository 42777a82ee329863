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
HEADINGS = ("ID", "NAME", "SLOTS", "RUNNING", "DONE", "FAILED", "CPU", "UP", "ADDRESS", "OFFERS", "ENGINE")


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
    rows = _with_columns_that_say_something([HEADINGS, *(_row(provider) for provider in now.providers)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines.append("")
    for row in rows:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _with_columns_that_say_something(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    kept = [column for column in range(len(HEADINGS)) if any(row[column] for row in rows[1:])]
    return [tuple(row[column] for column in kept) for row in rows]


def _row(p: status.Provider) -> tuple[str, ...]:
    numbers = (p.concurrency, p.running, p.done, p.failed)
    cpu = "" if p.cpu_seconds is None else seconds(p.cpu_seconds)
    offers = " ".join(word for word in p.offers if word != "own")
    cells = (str(p.id), p.name, *map(str, numbers), cpu, seconds(p.connected_seconds), p.address, offers, p.engine)
    return tuple(exits.clean(cell).replace("\n", " ")[:60] for cell in cells)
