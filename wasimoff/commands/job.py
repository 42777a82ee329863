"""`wasimoff job`: many tasks, from a job file or made of many inputs; results as they come."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import exits
from ..errors import UsageError
from ..task import AnyTask, Task
from .common import broker_options, connect, perform, read_file
from .options import given, task_options, wishes
from .screen import Screen
from .show import as_json, block, seconds, store

if TYPE_CHECKING:
    from ..jobfile import Job
    from ..result import Result

HELP = """Run many tasks, results printed as they come.

Either from a job file, or one task for each of the INPUTS: --each-stdin gives each task one file as its
stdin, --each-arg gives each task one more argument.

\b
Examples:
  wasimoff job --binary tsp.wasm --arg read --each-stdin cities/*.csv
  wasimoff job --binary tsp.wasm --arg rand --each-arg 6 7 8 9 10
  wasimoff job render.json
  wasimoff job --json --in-flight 200 render.json > results.jsonl
  wasimoff job --output results --artifact out.png --binary draw.wasm --each-arg 1 2 3

A job file is the JSON of Task.Wasip1.JobRequest. What a task leaves out is taken from the parent; args start
with the program's name; paths are meant from where the file is:

\b
  {"parent": {"binary": "tsp.wasm", "args": ["tsp", "read"]},
   "tasks":  [{"stdinFile": "cities/austria.csv"}, {"stdinFile": "cities/spain.csv"}]}

A task that fails does not stop the others: the exit code is then 1. A progress bar is shown on terminals only.
"""


@click.command("job", help=HELP)
@click.argument("inputs", nargs=-1, required=True, metavar="FILE.json | INPUTS...")
@click.option("--binary", metavar="FILE|ALIAS|REF", help="The program, when there is no job file.")
@click.option("--arg", "args", multiple=True, metavar="ARG", help="An argument of every task; may be repeated.")
@click.option("--each-stdin", is_flag=True, help="Each of the INPUTS is a file: one task's stdin.")
@click.option("--each-arg", is_flag=True, help="Each of the INPUTS is one task's last argument.")
@task_options
@click.option("--in-flight", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Tasks at a time.")
@click.option("--ordered", is_flag=True, help="Print results in the order of the tasks.")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON document a line.")
@click.option("--output", metavar="DIR", help="Keep each task's stdout, stderr and artifacts in DIR/NUMBER/.")
@click.option("--quiet", is_flag=True, help="Print neither results nor summary.")
@broker_options
@click.pass_context
def job_command(
    ctx: click.Context, /, inputs: tuple[str, ...], binary: str | None, args: tuple[str, ...], each_stdin: bool,
    each_arg: bool, in_flight: int, ordered: bool, json_lines: bool, output: str | None, quiet: bool,
    broker: str | None, http: bool, **options: Any,
) -> int:  # fmt: skip
    if each_stdin or each_arg:
        if each_stdin and each_arg:
            raise click.UsageError("--each-stdin and --each-arg exclude each other")
        if binary is None:
            raise click.UsageError("which program? give --binary FILE|ALIAS|REF")
        pattern = Task(binary, args, **wishes(**options))
        from ..jobfile import Job

        job = Job(len(inputs), _each_stdin(pattern, inputs) if each_stdin else _each_arg(pattern, inputs))
    else:
        job = _from_file(inputs, given({"binary": binary, "arg": args, **options}))
    printer = Printer(job.total, json_lines, quiet, Path(output) if output else None)
    return run_job(ctx, job, printer, in_flight, ordered, broker, http)


def _from_file(inputs: tuple[str, ...], options: list[str]) -> Job:
    if len(inputs) > 1:
        raise click.UsageError("one job file at a time; for one task for each input say --each-stdin or --each-arg")
    if options:
        raise click.UsageError(f"a job file says all of its tasks: {', '.join(options)} goes with --each-stdin, --each-arg")
    from ..jobfile import load

    return load(Path(inputs[0]), read_file)


def _each_stdin(pattern: Task, paths: tuple[str, ...]) -> Iterator[AnyTask]:
    """One task for each file, read when it is sent; all are looked at before that."""
    from dataclasses import replace

    for path in paths:
        if not Path(path).is_file():
            raise UsageError(f"there is no file {path!r}" + (" (no file matches)" if "*" in path else ""))
    return (replace(pattern, stdin=Path(path), label=path) for path in paths)


def _each_arg(pattern: Task, words: tuple[str, ...]) -> Iterator[AnyTask]:
    from dataclasses import replace

    return (replace(pattern, args=[*pattern.args, word], label=word) for word in words)


def run_job(
    ctx: click.Context, job: Job, printer: Printer, in_flight: int, ordered: bool, broker: str | None, http: bool
) -> int:
    """Run all tasks, print their results as they come; gives the exit code."""
    client = connect(ctx, broker, http)

    async def work() -> None:
        async with client, contextlib.aclosing(client.run_many(job.tasks, in_flight, ordered)) as results:
            async for result in results:
                printer.result(result)

    with printer:
        perform(work())
    return exits.FAILED if printer.failed else 0


class Printer:
    """Prints results and counts them; afterwards the summary. A context manager."""

    def __init__(self, total: int, json_lines: bool, quiet: bool, folder: Path | None) -> None:
        self.failed = 0
        self._total = total
        self._json = json_lines
        self._quiet = quiet
        self._folder = folder
        self._done: Counter[str] = Counter()
        self._started = time.monotonic()
        self._screen = Screen(total)

    def __enter__(self) -> Printer:
        self._screen.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._screen.stop()
        if not self._quiet and not self._json and (kind is None or self._done):
            print(self.summary(), file=sys.stderr)

    def result(self, result: Result) -> None:
        self.failed += not result.ok
        self._done[result.provider or "nobody"] += 1
        if self._folder is not None:
            store(result, self._folder / str(result.index + 1).zfill(len(str(self._total))))
        if self._json:
            self._screen.print(as_json(result, artifacts=self._folder is None))
        elif not self._quiet:
            self._screen.print(block(result, self._total, color=self._screen.color))
        self._screen.advance(self.failed)

    def summary(self) -> str:
        """How many, how fast, and who did it."""
        count = self._done.total()
        took = time.monotonic() - self._started
        ended = f"{count} tasks" if count == self._total else f"{count} of {self._total} tasks"
        lines = [
            f"{ended} in {seconds(took)} ({count / max(took, 1e-9):.3g}/s): {count - self.failed} ok, {self.failed} failed"
        ]
        width = max((len(name) for name in self._done), default=0)
        for name, number in sorted(self._done.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"  {exits.clean(name):<{width}}  {number:>{len(str(count))}} tasks")
        return "\n".join(lines)
