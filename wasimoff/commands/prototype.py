"""The flags of the prototype's client: `wasimoff -exec REF [ARGS]` and its like, as Go's flag package reads them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import exits
from ..errors import UsageError
from ..task import AnyTask, PythonTask, Task
from .common import perform, put, read_file, read_stdin
from .show import document, finish

if TYPE_CHECKING:
    from ..jobfile import Job

COMMANDS = {"upload": True, "exec": False, "task": True, "pyodide": True}
"""The flags that say what to do, and whether a value follows."""
SETTINGS = {"broker": True, "rootfs": True, "ws": False, "stdin": False, "trace": False, "verbose": False}
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(slots=True)
class Flags:
    """The flags that were given, and what came after them."""

    values: dict[str, str] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def on(self, name: str) -> bool:
        return self.values.get(name) in TRUE


def parse(arguments: list[str]) -> Flags | None:
    """The flags, when one of them is a command of the prototype's; else None. Raises UsageError."""
    names = [_name(argument) for argument in arguments if argument.startswith("-")]
    if not any(name in COMMANDS for name in names):
        return None
    flags = Flags()
    todo = list(arguments)
    while todo and todo[0].startswith("-") and todo[0] != "-":
        argument = todo.pop(0)
        if argument == "--":
            break
        name = _name(argument)
        takes_value = (COMMANDS | SETTINGS).get(name)
        if takes_value is None:
            if not COMMANDS.keys() & flags.values.keys():
                return None  # another command line, which has such a word further on
            known = ", ".join(f"-{name}" for name in COMMANDS | SETTINGS)
            raise UsageError(f"there is no flag {argument}; together with -{next(iter(flags.values))} go {known}")
        _, equals, value = argument.partition("=")
        if takes_value and not equals:
            if not todo:
                raise UsageError(f"{argument} needs a value; see wasimoff --help")
            value = todo.pop(0)
        elif not takes_value:
            value = value if equals else "true"
            if value not in TRUE | FALSE:
                raise UsageError(f"{argument}: {value!r} is neither true nor false")
        flags.values[name] = value
    flags.rest = todo
    return flags if COMMANDS.keys() & flags.values.keys() else None


def _name(argument: str) -> str:
    return argument.removeprefix("-").removeprefix("-").partition("=")[0]


def perform_flags(flags: Flags) -> int:
    """Do what they ask; gives the exit code. Raises UsageError."""
    asked = [name for name in COMMANDS if name in flags.values]
    if len(asked) > 1:
        raise UsageError(f"-{asked[0]} and -{asked[1]} exclude each other")
    ctx = click.Context(click.Command("wasimoff"), obj=flags.values.get("broker"))
    http = not flags.on("ws")
    if asked[0] == "upload":
        from .upload import send

        if len(flags.rest) > 1:
            raise UsageError(f"-upload FILE [ALIAS]: what is {flags.rest[1]!r}?")
        put(send(ctx, flags.values["upload"], flags.rest[0] if flags.rest else None, None, http))
        return 0
    job = _job(asked[0], flags)
    if job.total > 1:
        from .job import Printer, run_job

        return run_job(ctx, job, Printer(job.total, flags.on("verbose"), False, None), 64, True, None, http)
    return _run(ctx, next(iter(job.tasks)), http, flags.on("verbose"))


def _job(command: str, flags: Flags) -> Job:
    from ..jobfile import Job, load_any

    if command == "task":
        return load_any(Path(flags.values["task"]), read_file)
    stdin = read_stdin("-") if flags.on("stdin") else b""
    rootfs, trace = flags.values.get("rootfs"), flags.on("trace")
    if command == "pyodide":
        script = read_file(Path(flags.values["pyodide"])).decode("utf-8", "replace")
        return Job(1, iter([PythonTask(script=script, stdin=stdin, rootfs=rootfs, trace=trace)]))
    if not flags.on("exec"):
        raise UsageError("-exec=false: nothing to do")
    if not flags.rest:
        raise UsageError("-exec REF [ARGS]: which program?")
    return Job(1, iter([Task(flags.rest[0], flags.rest[1:], stdin=stdin, rootfs=rootfs, trace=trace)]))


def _run(ctx: click.Context, task: AnyTask, http: bool, verbose: bool) -> int:
    from ..result import Result
    from .common import connect

    client = connect(ctx, None, http)

    async def work() -> Result:
        async with client:
            return await client.submit(task)

    result = perform(work())
    if verbose:
        about = {key: value for key, value in document(result, artifacts=False).items() if not key.startswith("std")}
        print(exits.clean(json.dumps(about, ensure_ascii=False)), file=sys.stderr)
    return finish(result, ".")
