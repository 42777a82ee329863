"""What a task refers to, may use and needs of its provider: one shape for every kind of task. Imports the wire, settings."""

from __future__ import annotations

import math
from functools import cache
from typing import TypeAlias

from broker.core.task import OWN
from broker.errors import Refused
from broker.settings import Settings
from pyodide_provider.wire import messages_pb2 as pb

Wasip1: TypeAlias = pb.Task.Wasip1.Params
Params: TypeAlias = pb.Task.Wasip1.Params | pb.Task.Pyodide.Params

THREADS = "wasip1-threads"
INTERACTIVE = "interactive"
MAX_ROOTS = 16
MAX_SHARED = 256
DATA = frozenset({"stdin_file", "pickle_file", "shared"})
"""Files that may hold anything; the others are modules and zips."""


def check(params: Params) -> None:
    """That there is something to run, said in one way, and a bounded number of files. Raises Refused."""
    if isinstance(params, Wasip1):
        if not params.HasField("binary"):
            raise Refused("invalid_argument", "the task has no binary: give params.binary.ref or params.binary.blob")
        if params.HasField("stdin_file") and params.HasField("stdin"):
            raise Refused("invalid_argument", "the task has both stdin and stdin_file: give one")
        if len(params.roots) > MAX_ROOTS:
            raise Refused("invalid_argument", f"{len(params.roots)} roots, at most {MAX_ROOTS} are taken")
        return
    ways = (params.WhichOneof("run") is not None) + params.HasField("pickle_file")
    if not ways:
        raise Refused("invalid_argument", "the task has nothing to run: give params.script or params.pickle")
    if ways > 1:
        raise Refused("invalid_argument", "the task has pickle_file beside script or pickle: give one")
    if len(params.shared) > MAX_SHARED:
        raise Refused("invalid_argument", f"{len(params.shared)} shared files, at most {MAX_SHARED} are taken")


def files(params: Params) -> list[tuple[str, pb.File]]:
    """The files of checked params, each with what it is called."""
    if isinstance(params, Wasip1):
        found = [("binary", params.binary)]
        if params.HasField("stdin_file"):
            found.append(("stdin_file", params.stdin_file))
        found += [(f"root at {root.path[:80]!r}", root.file) for root in params.roots]
    else:
        found = [("shared", file) for file in params.shared]
        if params.HasField("pickle_file"):
            found.append(("pickle_file", params.pickle_file))
    if params.HasField("rootfs"):
        found.append(("rootfs", params.rootfs))
    return found


def extended(params: Params) -> bool:
    """Whether only a provider that knows our extensions would do what they say."""
    if isinstance(params, Wasip1):
        return bool(params.roots) or params.HasField("stdin_file")
    return bool(params.shared) or params.HasField("pickle_file") or params.network or params.HasField("python")


@cache
def needs(kind: str, own: bool, threads: bool, interactive: bool) -> frozenset[str]:
    """What a provider must offer: the same object for the same answer."""
    more = {OWN: own, THREADS: threads, INTERACTIVE: interactive}
    return frozenset({kind, *(name for name, needed in more.items() if needed)})


class Caps:
    """What the operator lets a task use. What a task asks is cut to that; what it doesn't ask is left to the provider,
    unless the operator has set it."""

    def __init__(self, settings: Settings) -> None:
        self._caps = {name: most for name, most in _limits(settings).items() if most}
        self.output = settings.limit_output
        plain = _limits(Settings())
        self._always = {name for name, most in self._caps.items() if most != plain[name]}

    def apply(self, params: Params) -> None:
        """Cut what the task asks, and say what the operator wants said."""
        if not params.HasField("limits") and not self._always:
            return
        limits = params.limits
        for name, cap in self._caps.items():
            asked = getattr(limits, name)
            if asked > cap or (not asked and name in self._always):
                setattr(limits, name, cap)


def _limits(settings: Settings) -> dict[str, int]:
    """By their names in Task.Limits."""
    return {
        "wall_ms": math.ceil(settings.limit_wall * 1000),
        "memory": settings.limit_memory,
        "output": settings.limit_output,
        "files": settings.limit_files,
        "threads": settings.limit_threads,
    }
