"""`wasimoff map`: a Python function for each line of JSON, on other people's computers; results in order."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

import click

from .. import exits
from ..errors import BrokerError, TaskFailed, TaskTimeout, UntrustedResult, UsageError, WasimoffError
from ..many import stream
from .common import broker_options, perform
from .options import environment
from .screen import Screen

if TYPE_CHECKING:
    from ..async_executor import AsyncExecutor, Chunk, Row

HELP = """Call a function of FILE.py for each line of JSON on stdin, and print its values as lines of JSON, in order.

Nothing of FILE.py but the function and what it needs is sent; FILE.py is imported here, so let it do no work when
it is. Each line is the function's only argument; with --star a list of all its arguments, with --kwargs an object of
its named ones.

\b
Examples:
  seq 1 1000 | wasimoff map primes.py --func is_prime
  wasimoff map pi.py --func inside --chunk 20 < seeds.jsonl > counts.jsonl
  echo '[2, 10]' | wasimoff map tools.py --func power --star
  wasimoff map stats.py --func mean --package numpy < rows.jsonl

The first call that fails ends it, with exit code 1; with --keep-going it is a line {"error": ...} among the others,
and the exit code is 1 at the end.
"""
MAX_LINE = 64 * 2**20
"""Bytes of one line of stdin."""


@click.command("map", help=HELP)
@click.argument("file", metavar="FILE.py")
@click.option("--func", required=True, metavar="NAME", help="The function.")
@click.option("--star", is_flag=True, help="Each line is a list of arguments.")
@click.option("--kwargs", is_flag=True, help="Each line is an object of named arguments.")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="Something the function imports; repeatable.")
@click.option("--chunk", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Calls in one task.")
@click.option("--in-flight", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Tasks at a time.")
@click.option("--env", "envs", metavar="K=V", multiple=True, help="A variable; K alone takes it from here.")
@click.option("--rootfs", metavar="REF|ZIP|DIR", help="What the function sees as /mnt.")
@click.option("--timeout", type=float, metavar="S", help="End each task that is not done in S seconds.")
@click.option("--network", is_flag=True, help="The function may open connections, where the operator allows that.")
@click.option("--keep-going", is_flag=True, help='A call that fails is a line {"error": ...}.')
@broker_options
@click.pass_context
def map_command(
    ctx: click.Context, file: str, func: str, star: bool, kwargs: bool, packages: tuple[str, ...], chunk: int,
    in_flight: int, envs: tuple[str, ...], rootfs: str | None, timeout: float | None, network: bool, keep_going: bool,
    broker: str | None, http: bool,
) -> int:  # fmt: skip
    if star and kwargs:
        raise click.UsageError("--star and --kwargs exclude each other")
    function = _load(Path(file), func)
    from ..async_executor import AsyncExecutor

    executor = AsyncExecutor(
        broker or ctx.obj, packages=packages, max_in_flight=in_flight, timeout=timeout, env=environment(envs),
        rootfs=rootfs, network=network, transport="http" if http else "websocket",
    )  # fmt: skip
    how = "star" if star else "kwargs" if kwargs else "one"
    return perform(_map(executor, guarded(function, how, keep_going), Lines(how), chunk, in_flight, keep_going))


def guarded(function: Callable[..., Any], how: str, keep_going: bool) -> Callable[[Any], tuple[bool, str]]:
    """What is sent: calls the function as asked, and gives whether that went well, and a line of JSON."""
    import json

    def call(value: Any) -> tuple[bool, str]:
        try:
            given = function(*value) if how == "star" else function(**value) if how == "kwargs" else function(value)
            return True, json.dumps(given, ensure_ascii=False)
        except Exception as error:
            if not keep_going:
                raise
            return False, json.dumps({"error": f"{type(error).__name__}: {error}"}, ensure_ascii=False)

    return call


async def _map(
    executor: AsyncExecutor, function: Callable[[Any], tuple[bool, str]], lines: Lines, chunk: int, in_flight: int,
    keep_going: bool,
) -> int:  # fmt: skip
    failed = 0
    screen = Screen(0)
    call = executor.rows(function)

    async def perform(index: int, rows: list[Row]) -> Chunk[tuple[bool, str]]:
        try:
            return await call(index, rows)
        except (TaskFailed, TaskTimeout, UntrustedResult, BrokerError) as error:
            if not keep_going:
                raise
            return [(False, json.dumps({"error": str(error)}))] * len(rows), None

    async with executor:
        screen.start()
        try:
            async with contextlib.aclosing(stream(lines.chunks(chunk), perform, in_flight, ordered=True)) as answered:
                async for values, error in answered:
                    for ok, text in values:
                        failed += not ok
                        screen.total(lines.taken)
                        screen.print(checked(text))
                        screen.advance(failed)
                    if error is not None:
                        raise error
        except (WasimoffError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise click.ClickException(exits.clean(_words(error))) from None
        finally:
            screen.stop()
    return exits.FAILED if failed else 0


def checked(text: object) -> str:
    """A line of JSON, which a stranger says it is. Raises UntrustedResult."""
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(text, str) and len(text.splitlines()) == 1:
            json.loads(text)
            return text
    raise UntrustedResult("the provider's answer is not a line of JSON")


class Lines:
    """The lines of stdin, each as the arguments of one call."""

    def __init__(self, how: str) -> None:
        self._how = how
        self.taken = 0

    async def chunks(self, size: int) -> AsyncIterator[list[Row]]:
        """Up to `size` at a time. Raises UsageError for a line that isn't what was said."""
        chunk: list[Row] = []
        while line := await asyncio.to_thread(sys.stdin.buffer.readline, MAX_LINE + 1):
            if line.strip():
                chunk.append((self._parsed(line),))
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _parsed(self, line: bytes) -> Any:
        self.taken += 1
        name = f"line {self.taken} of stdin"
        if len(line) > MAX_LINE:
            raise UsageError(f"{name} has more than {MAX_LINE} bytes: put large input into --rootfs")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name} is not JSON: {error}") from None
        wanted = {"star": list, "kwargs": dict}.get(self._how)
        if wanted is not None and not isinstance(value, wanted):
            raise UsageError(f"{name} must be a JSON {'array' if wanted is list else 'object'}, because of --{self._how}")
        return value


def _load(path: Path, name: str) -> Callable[..., Any]:
    """The function of a file. Raises UsageError, also for whatever goes wrong in the file."""
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}")
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} is no Python file: its name must end in .py")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{str(path)!r} can't be imported: {type(error).__name__}: {error}") from None
    function = getattr(module, name, None)
    if not callable(function):
        there = ", ".join(sorted(n for n, value in vars(module).items() if isinstance(value, FunctionType))) or "none"
        raise UsageError(f"{str(path)!r} has no function {name!r}; its functions: {there}")
    return cast("Callable[..., Any]", function)


def _words(error: Exception) -> str:
    from ..answers import RemoteTraceback

    cause = error.__cause__
    return cause.text.rstrip() if isinstance(cause, RemoteTraceback) else f"{type(error).__name__}: {error}"
