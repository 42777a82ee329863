"""`wasimoff upload`: files into the broker's storage."""

from __future__ import annotations

from pathlib import Path

import click

from .common import broker_options, connect, perform, put
from .screen import Screen

HELP = """Store a file at the broker; prints its ref.

FILE is a WebAssembly program, a zip, or a folder (stored as a zip, to be a rootfs). What the broker has already
is not sent again. With --name it can be called by that name.

\b
Examples:
  wasimoff upload tsp.wasm
  wasimoff upload tsp.wasm --name tsp       then: wasimoff run tsp rand 8
  ref=$(wasimoff upload site/)              then: wasimoff run --rootfs $ref render.wasm
"""


@click.command("upload", help=HELP)
@click.argument("file")
@click.option("--name", metavar="ALIAS", help="Another name for it.")
@broker_options
@click.pass_context
def upload_command(ctx: click.Context, file: str, name: str | None, broker: str | None, http: bool) -> int:
    put(send(ctx, file, name, broker, http))
    return 0


def send(ctx: click.Context, file: str, name: str | None, broker: str | None, http: bool) -> str:
    """Upload with a bar; gives the ref."""
    client = connect(ctx, broker, http)
    screen = Screen(0, bytes=True)

    async def work() -> str:
        async with client:
            return await client.upload(Path(file), name, screen.sent)

    screen.start()
    try:
        return perform(work())
    finally:
        screen.stop()
