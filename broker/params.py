"""What a task refers to, may use and needs of its provider: one shape for every kind of task. Imports the wire, settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias, TypeVar

from broker.core.task import OWN
from broker.errors import Refused
from broker.settings import Settings
from pyodide_provider.wire import messages_pb2 as pb

T = TypeVar("T")
Wasip1: TypeAlias = pb.Task.Wasip1.Params
Params: TypeAlias = pb.Task.Wasip1.Params | pb.Task.Pyodide.Params

THREADS = "wasip1-threads"
INTERACTIVE = "interactive"
PYTHON_NETWORK = "pyodide-network"
MAX_ROOTS = 16
MAX_SHARED = 256
MAX_TEXTS = 65_536
MAX_BESIDE = 2 << 20
"""Bytes of a request beside its script, pickle and standard input: so much may a command line of Linux have, too. What many
texts cost a provider's Python, in a tab above all, is a multiple: it would be silent for so long that it counts as lost."""
HARMLESS = 1 << 17
"""Bytes of a request from which its parts are counted."""
DATA = frozenset({"stdin_file", "pickle_file", "shared"})
"""Files that may hold anything; the others are modules and zips."""


def inline(params: Params) -> list[tuple[str, pb.File]]:
    """The files that come with their bytes, of params that may be incomplete. Raises Refused when there are too many."""
    if isinstance(params, Wasip1):
        found = [("root", root.file) for root in _bounded(params.roots, "roots", MAX_ROOTS)]
        names = ["binary", "rootfs", "stdin_file"]
    else:
        found = [("shared", file) for file in _bounded(params.shared, "shared files", MAX_SHARED)]
        names = ["rootfs", "pickle_file"]
    found += [(name, getattr(params, name)) for name in names if params.HasField(name)]
    return [(name, file) for name, file in found if file.HasField("blob")]


def _bounded(items: Sequence[T], what: str, most: int) -> Sequence[T]:
    if len(items) > most:
        raise Refused("invalid_argument", f"{len(items)} {what}, at most {most} are taken")
    return items


def check_texts(request: pb.Task.Wasip1.Request | pb.Task.Pyodide.Request) -> None:
    """Raises Refused for one that would keep its provider busy before it runs. Its files are refs by now."""
    params = request.params
    if isinstance(params, Wasip1):
        bulk = len(params.stdin)
        texts = len(params.args)
    else:
        bulk = len(params.stdin) + len(params.pickle) + len(params.script.encode())
        texts = len(params.packages)
    texts += len(params.envs) + len(params.artifacts) + len(request.info.trace.events)
    if texts > MAX_TEXTS:
        raise Refused("invalid_argument", f"{texts} args, envs, artifacts and so on, at most {MAX_TEXTS} are taken")
    beside = request.ByteSize() - bulk
    if beside > MAX_BESIDE:
        text = (
            f"args, envs and so on have {beside} bytes, at most {MAX_BESIDE} are taken: use stdin or a rootfs for large input"
        )
        raise Refused("invalid_argument", text)


def is_plain(params: Wasip1) -> bool:
    """Whether it refers to nothing but its program: so do most, and need no list."""
    return params.HasField("binary") and not (params.HasField("rootfs") or params.HasField("stdin_file") or params.roots)


def look(params: Params) -> tuple[list[tuple[str, pb.File]], bool]:
    """The files that params refer to, each with what it is called (a program first), and whether only a provider that knows
    our extensions would do what they say (stdin apart: see inlining). Raises Refused when there is nothing to run, or
    something is given twice.
    """
    found, own = _wasip1(params) if isinstance(params, Wasip1) else _pyodide(params)
    if params.HasField("rootfs"):
        found.append(("rootfs", params.rootfs))
    return found, own


def _wasip1(params: Wasip1) -> tuple[list[tuple[str, pb.File]], bool]:
    if not params.HasField("binary"):
        raise Refused("invalid_argument", "the task has no binary: give params.binary.ref or params.binary.blob")
    found = [("binary", params.binary)]
    if params.HasField("stdin_file"):
        if params.HasField("stdin"):
            raise Refused("invalid_argument", "the task has both stdin and stdin_file: give one")
        found.append(("stdin_file", params.stdin_file))
    roots = params.roots
    if roots:
        found += [(f"root at {root.path[:80]!r}", root.file) for root in _bounded(roots, "roots", MAX_ROOTS)]
    return found, bool(roots)


def _pyodide(params: pb.Task.Pyodide.Params) -> tuple[list[tuple[str, pb.File]], bool]:
    ways = (params.WhichOneof("run") is not None) + params.HasField("pickle_file")
    if not ways:
        raise Refused("invalid_argument", "the task has nothing to run: give params.script or params.pickle")
    if ways > 1:
        raise Refused("invalid_argument", "the task has pickle_file beside script or pickle: give one")
    found = [("shared", file) for file in _bounded(params.shared, "shared files", MAX_SHARED)]
    if params.HasField("pickle_file"):
        found.append(("pickle_file", params.pickle_file))
    return found, bool(found) or params.network or params.HasField("python")


@cache
def needs(kind: str, own: bool, threads: bool) -> frozenset[str]:
    """What a provider must offer: the same object for the same answer."""
    more = {OWN: own, THREADS: threads}
    return frozenset({kind, *(name for name, needed in more.items() if needed)})


@cache
def networked(needed: frozenset[str]) -> frozenset[str]:
    return needed | {PYTHON_NETWORK}


@cache
def interactively(needed: frozenset[str]) -> frozenset[str]:
    return needed | {INTERACTIVE}


PLAIN = needs("wasip1", False, False)


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
        if not self._always and not params.HasField("limits"):
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
