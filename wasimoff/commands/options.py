"""The options that say how a task is to be run, the same for `run` and `job`. Imports click and the data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError
from ..limits import NO_LIMITS, Limits, count, duration, size
from ..task import NO_ROOTS, Source, check_root

F = TypeVar("F", bound=Callable[..., Any])


if TYPE_CHECKING:
    Word = click.ParamType[float]
else:
    Word = click.ParamType  # no generic class before click 8.3


class Amount(Word):
    """What `read` makes of a word; its UsageError is the user's."""

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return self._read(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


DURATION = Amount("duration", duration)
SIZE = Amount("size", size)

OPTIONS = (
    click.option("--env", "envs", metavar="K=V", multiple=True, help="A variable; K alone takes it from here."),
    click.option("--rootfs", metavar="REF|ZIP|DIR", help='What the program sees as "/".'),
    click.option("--root", "roots", metavar="/PATH=REF|ZIP|DIR", multiple=True, help="What it sees at /PATH; may be repeated."),
    click.option("--artifact", "artifacts", metavar="PATH", multiple=True, help="Bring this file, folder or glob back."),
    click.option("--limit-wall", type=DURATION, metavar="TIME", help="Stop it when it has run so long: 2s, 500ms, 5m."),
    click.option("--limit-memory", type=SIZE, metavar="SIZE", help="Of its memory: 64M, 1.5G."),
    click.option("--limit-output", type=SIZE, metavar="SIZE", help="Of stdout and stderr together."),
    click.option("--limit-files", type=SIZE, metavar="SIZE", help="Of the files that it writes."),
    click.option("--limit-threads", type=Amount("count", count), metavar="N", help="Threads at once."),
    click.option("--deadline", type=float, metavar="S", help="End the task when it is not done in S seconds."),
    click.option("--priority", is_flag=True, help="Go before tasks without it."),
)


def task_options(command: F) -> F:
    """Adds them; the command hands what it gets for them to `wishes`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def wishes(
    envs: Sequence[str], rootfs: str | None, roots: Sequence[str], artifacts: Sequence[str], deadline: float | None,
    priority: bool, **limits: float | None,
) -> dict[str, Any]:  # fmt: skip
    """The arguments of a Task that the options say. Raises UsageError."""
    return {
        "env": environment(envs),
        "rootfs": rootfs,
        "roots": mounts(roots),
        "artifacts": artifacts,
        "limits": _limits(limits),
        "deadline": deadline,
        "priority": priority,
    }


def given(options: dict[str, Any]) -> list[str]:
    """The names of those that were given, as they are typed."""
    names = {"envs": "env", "roots": "root", "artifacts": "artifact"}
    said = [name for name, value in options.items() if value is not None and value is not False and value != ()]
    return [f"--{names.get(name, name).replace('_', '-')}" for name in said]


def _limits(amounts: dict[str, float | None]) -> Limits:
    said = {name.removeprefix("limit_"): value for name, value in amounts.items() if value is not None}
    return Limits(**said) if said else NO_LIMITS  # type: ignore[arg-type]


def environment(pairs: Sequence[str]) -> dict[str, str]:
    """What --env says. Raises UsageError for a name that isn't set here."""
    env: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            if key not in os.environ:
                raise UsageError(f"--env {key}: there is no such variable here; write --env {key}=VALUE")
            value = os.environ[key]
        env[key] = value
    return env


def mounts(pairs: Sequence[str]) -> dict[str, Source]:
    """What --root says. Raises UsageError."""
    roots: dict[str, Source] = dict(NO_ROOTS)
    for pair in pairs:
        path, _, source = pair.partition("=")
        if not source:
            raise UsageError(f"--root {pair}: write --root /PATH=REF|ZIP|DIR, as --root /data=data.zip")
        check_root(path, source)
        if path in roots:
            raise UsageError(f"--root {path} is given twice")
        roots[path] = source
    return roots
