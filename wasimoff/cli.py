"""The command `wasimoff`: finds the subcommand, turns every error into words and an exit code. Imports click.

Subcommands live in `commands`, one module each, and are imported when they are called for.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from . import exits
from .errors import WasimoffError

COMMANDS = {
    "run": "run",
    "job": "job",
    "map": "map",
    "upload": "upload",
    "ps": "ps",
    "provider": "launch",
    "broker": "launch",
}
"""Each subcommand and its module."""

HELP = """Run WebAssembly programs on whoever lends a computer.

\b
First steps, each in its own terminal:
  wasimoff broker                         the middle: http://localhost:4080
  wasimoff provider --workers max         lend this machine
  wasimoff run tsp.wasm rand 8            run a program on somebody's machine
  wasimoff job --binary tsp.wasm --arg read --each-stdin cities/*.csv
  seq 9 | wasimoff map f.py --func f      call a Python function for each line of JSON
  wasimoff ps                             who computes, what waits

The broker is found by --broker, or the environment's WASIMOFF_BROKER or BROKER; otherwise it is
http://localhost:4080. Each command has its own --help with examples.

The flags of the prototype's client work too: wasimoff -upload FILE, -exec REF [ARGS], -task FILE.json,
-pyodide SCRIPT, with -broker, -ws, -stdin, -rootfs, -trace, -verbose.
"""


class Commands(click.Group):
    """The subcommands, imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{COMMANDS[cmd_name]}", __package__)
        command = getattr(module, f"{cmd_name}_command")
        return command if isinstance(command, click.Command) else None


@click.group(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--broker", metavar="URL", help="Where the broker is.")
@click.version_option(package_name="wasimoff", message="wasimoff %(version)s")
@click.pass_context
def cli(ctx: click.Context, broker: str | None) -> None:
    ctx.obj = broker


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code (see `exits`). No error gets past here as a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except WasimoffError as error:
        exits.say(str(error))
        return exits.of_error(error)
    except (KeyboardInterrupt, click.Abort):
        return exits.INTERRUPTED
    except BrokenPipeError:
        exits.silence()
        return exits.BROKEN_PIPE
    except OSError as error:
        exits.say(f"can't write the answer: {error.strerror or error}")
        exits.silence()
        return exits.CANT_WRITE
    except Exception as error:
        if os.environ.get("WASIMOFF_DEBUG"):
            raise
        exits.say(f"this is a fault of wasimoff itself: {error!r} (WASIMOFF_DEBUG=1 shows where)")
        return exits.BUG


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0].startswith("-"):
        from .commands import prototype

        flags = prototype.parse(arguments)
        if flags is not None:
            return prototype.perform_flags(flags)
    code = cli.main(arguments, prog_name="wasimoff", standalone_mode=False)
    return int(code or 0)
