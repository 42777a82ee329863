"""`wasimoff run`: one task; its streams and exit code become ours."""

from __future__ import annotations

import click

from .common import broker_options, connect, environment, perform, read_stdin, task_options
from .show import finish

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
  wasimoff run --json --trace tsp.wasm rand 8 | jq .provider
"""


@click.command("run", help=HELP, context_settings={"allow_interspersed_args": False})
@click.argument("binary")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--stdin", metavar="FILE|-", help="What the program reads; what is piped in is sent without it.")
@task_options
@click.option("--output", metavar="DIR", default=".", help="Where artifacts are unpacked.", show_default=True)
@click.option("--immediate", is_flag=True, help="Start now or fail; never wait in the queue.")
@click.option("--timeout", type=float, metavar="S", help="Wait for S seconds at most, then cancel.")
@click.option("--trace", is_flag=True, help="Tell on stderr when what happened to the task.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of its streams.")
@broker_options
@click.pass_context
def run_command(
    ctx: click.Context, binary: str, args: tuple[str, ...], stdin: str | None, envs: tuple[str, ...],
    rootfs: str | None, artifacts: tuple[str, ...], output: str, as_json: bool, broker: str | None, http: bool,
    deadline: float | None, priority: bool, immediate: bool, timeout: float | None, trace: bool,
) -> int:  # fmt: skip
    from ..result import Result
    from ..task import Task

    client = connect(ctx, broker, http)
    task = Task(
        binary, args, stdin=read_stdin(stdin), env=environment(envs), rootfs=rootfs, artifacts=artifacts,
        deadline=deadline, priority=priority, immediate=immediate, timeout=timeout, trace=trace,
    )  # fmt: skip

    async def work() -> Result:
        async with client:
            return await client.submit(task)

    return finish(perform(work()), output, as_json=as_json)
