"""`wasimoff run`: one task; its streams and exit code become ours."""

from __future__ import annotations

import sys
from typing import Any

import click

from .. import exits
from .common import broker_options, connect, perform, read_stdin
from .follow import talked
from .options import task_options, wishes
from .show import about, finish, usage_line
from .waiting import told_why

HELP = """Run a program on somebody's machine.

BINARY is a local file (uploaded when the broker lacks it), an alias or a ref "sha256:…". What follows it are
the program's own arguments. Its stdout, stderr and exit code become those of this command; what is piped in
becomes its stdin. Ctrl-C cancels it.

\b
Examples:
  wasimoff run tsp.wasm rand 8
  wasimoff run tsp.wasm read < cities.csv
  wasimoff run --env GREETING=hello --env HOME helloworld.wasm
  wasimoff run --rootfs site/ --artifact out/result.txt --output here render.wasm /index.md
  wasimoff run --root /data=data.zip --root /etc=conf/ --artifact '/out/*.png' draw.wasm /data
  wasimoff run --limit-wall 2s --limit-memory 64M --usage stranger.wasm
  wasimoff run -f --limit-wall 10m simulate.wasm
  wasimoff run -i repl.wasm
  wasimoff run --json --trace tsp.wasm rand 8 | jq .provider
"""


@click.command("run", help=HELP, context_settings={"allow_interspersed_args": False})
@click.argument("binary")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--stdin", metavar="FILE|-", help="What the program reads; what is piped in is sent without it.")
@click.option("-f", "--follow", is_flag=True, help="Print what the program writes while it runs.")
@click.option("-i", "--interactive", is_flag=True, help="Send what is typed while it runs, until Ctrl-D; follows.")
@task_options
@click.option("--output", metavar="DIR", default=".", help="Where artifacts are unpacked.", show_default=True)
@click.option("--immediate", is_flag=True, help="Start now or fail; never wait in the queue.")
@click.option("--timeout", type=float, metavar="S", help="Wait for S seconds at most, then cancel.")
@click.option("--trace", is_flag=True, help="Tell on stderr when what happened to the task.")
@click.option("--usage", is_flag=True, help="Tell on stderr in one line what the task used.")
@click.option("--verbose", is_flag=True, help="Tell on stderr who ran it, how long it took and what it used.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of its streams.")
@broker_options
@click.pass_context
def run_command(
    ctx: click.Context, /, binary: str, args: tuple[str, ...], stdin: str | None, follow: bool, interactive: bool, output: str,
    immediate: bool,
    timeout: float | None, trace: bool, usage: bool, verbose: bool, as_json: bool, broker: str | None, http: bool,
    **options: Any,
) -> int:  # fmt: skip
    from ..result import Result
    from ..task import Task

    _check(stdin, follow, interactive, as_json, http)
    client = connect(ctx, broker, http)
    given = b"" if interactive else read_stdin(stdin)
    task = Task(binary, args, stdin=given, immediate=immediate, timeout=timeout, trace=trace, **wishes(**options))

    async def work() -> Result:
        async with client, told_why(client, interactive or sys.stderr.isatty()) as came:
            return await (talked(client, task, interactive, came) if follow or interactive else client.submit(task))

    result = perform(work())
    code = finish(result, output, as_json=as_json, streams=not (follow or interactive))
    if usage and not verbose:
        print(usage_line(result), file=sys.stderr)
    if verbose:
        print(about(result), file=sys.stderr)
    return code


def _check(stdin: str | None, follow: bool, interactive: bool, as_json: bool, http: bool) -> None:
    """Raises click.UsageError for options that don't go together."""
    if as_json and (follow or interactive):
        raise click.UsageError("--json prints the result when the task has ended: it does not go with --follow, --interactive")
    if interactive and stdin is not None:
        raise click.UsageError("--interactive sends what is typed or piped in: it does not go with --stdin")
    if interactive and http:
        raise click.UsageError("--interactive needs a WebSocket: leave out --http")
    if follow and http:
        exits.say("over HTTP the output comes when the task has ended")
