"""`wasimoff broker` and `wasimoff provider`: start the other halves. Imports them only by name, as processes."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click

from ..address import broker_url
from ..errors import UsageError

BROKER_HELP = """Start a broker: the middle between clients and providers.

All options are the broker's own; wasimoff broker --help lists them. Each can be set in the environment too, as
WASIMOFF_….

\b
Examples:
  wasimoff broker
  wasimoff broker --http-listen 0.0.0.0:4080 --filestorage /var/lib/wasimoff
  WASIMOFF_HTTP_LISTEN=:8080 wasimoff broker
"""

PROVIDER_HELP = """Lend this machine: run tasks for a broker.

Tasks run in child processes under wasmtime, Python tasks under Node where there is one; with --browser in a headless
Chromium, in the same page that people open. Ctrl-C lets running tasks end; a second one ends at once. Further options
go to the provider as they are.

\b
Examples:
  wasimoff provider
  wasimoff provider --url https://broker.example --workers 4 --name lab-3
  wasimoff provider --browser --workers max
"""


@click.command(
    "broker", help=BROKER_HELP, add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)  # fmt: skip
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def broker_command(options: tuple[str, ...]) -> int:
    _need("broker", "jinja2")
    _become("broker", list(options))


@click.command(
    "provider", help=PROVIDER_HELP, context_settings={"ignore_unknown_options": True}
)  # fmt: skip
@click.option("--url", metavar="URL", help="Where the broker is. [default: $WASIMOFF_BROKER]")
@click.option("--workers", metavar="N|max", default="max", show_default=True, help="Tasks at a time.")
@click.option("--name", metavar="NAME", help="What others see in `wasimoff ps`.")
@click.option("--browser", is_flag=True, help="Run tasks in a headless Chromium.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def provider_command(
    ctx: click.Context, url: str | None, workers: str, name: str | None, browser: bool, options: tuple[str, ...]
) -> int:
    where = broker_url(url or ctx.obj)
    if workers != "max" and not (workers.isascii() and workers.isdigit() and 0 < int(workers) <= 4096):
        raise click.BadParameter(f"{workers!r} is neither a number from 1 to 4096 nor max", param_hint="--workers")
    if browser:
        return _browse(where, workers, name, options)
    _need("provider", "wasmtime")
    arguments = ["--url", where, "--workers", workers, *(["--name", name] if name else []), *options]
    _become("pyodide_provider", arguments)


def _browse(url: str, workers: str, name: str | None, options: tuple[str, ...]) -> int:
    if options:
        raise click.UsageError(f"{options[0]!r} is for native providers, not for --browser")
    _need("browser", "playwright")
    from ..headless import run

    return asyncio.run(run(url, workers, name=name))


def _need(extra: str, module: str) -> None:
    """Raises UsageError when what pip installs as an extra is not there."""
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{module} is missing here: pip install 'wasimoff[{extra}]'")


def _become(module: str, arguments: list[str]) -> NoReturn:
    """Go on as `python -m module`, in this very process where the system can do that."""
    here = Path(__file__).resolve().parents[2]
    # A folder of that name where we happen to be is not what is meant, unless we run from there ourselves.
    safe = [] if Path.cwd() == here else ["-P"]
    command = [sys.executable, *safe, "-m", module, *arguments]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(sys.executable, command)
    sys.exit(subprocess.run(command).returncode)
