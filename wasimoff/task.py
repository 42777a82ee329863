"""What a client asks: a WASI program or a piece of Python, and how it is to be run. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from .errors import UsageError
from .limits import NO_LIMITS, Limits

Source = str | os.PathLike[str] | bytes
"""A ref ("sha256:…"), an alias, the path of a local file, or bytes; the last two are uploaded when the broker lacks them."""

NO_ENV: Mapping[str, str] = MappingProxyType({})
NO_ROOTS: Mapping[str, Source] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a task is to be run."""

    env: Mapping[str, str] = field(default_factory=lambda: NO_ENV)
    stdin: bytes | os.PathLike[str] = b""
    """Bytes, or the path of a file with them, which is read when the task is sent."""
    rootfs: Source | None = None
    """A zip (ref, alias, path) or a folder, mounted as "/"."""
    artifacts: Sequence[str] = ()
    """Paths to bring back when the program ends."""
    limits: Limits = NO_LIMITS
    """What it may use."""
    priority: bool = False
    """Goes before tasks without it."""
    deadline: float | None = None
    """Seconds from now after which the answer is of no use: the broker then ends the task."""
    immediate: bool = False
    """Start now or be rejected; never wait in the queue."""
    timeout: float | None = None
    """Seconds that the caller waits; the task is then cancelled. Counted from when it is first sent."""
    trace: bool = False
    """Collect when what happened to it: `Result.trace`."""
    label: str = ""
    """The caller's own name for it, given back in the Result."""

    def __post_init__(self) -> None:
        for name in ("deadline", "timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < 10**11:
                raise UsageError(f"{name} is {seconds!r}: it is a number of seconds from now, more than 0")
        if not isinstance(self.stdin, bytes | bytearray | memoryview | os.PathLike):
            raise UsageError(f"stdin is {type(self.stdin).__name__}: give bytes (.encode() on text) or a Path")
        for key, value in self.env.items():
            if not key or "=" in key or "\0" in key + value:
                raise UsageError(f"{key!r} can't be the name of an environment variable")
        if not isinstance(self.limits, Limits):
            raise UsageError(f"limits is {type(self.limits).__name__}: give Limits(wall=2, memory=64 * 2**20, …)")


@dataclass(frozen=True, slots=True)
class Task(Wishes):
    """A WASI program, its arguments (without the program's own name) and wishes."""

    binary: Source
    args: Sequence[str] = ()
    program: str | None = field(default=None, kw_only=True)
    """argv[0]; None: the file's name, the alias or the ref."""
    roots: Mapping[str, Source] = field(default_factory=lambda: NO_ROOTS, kw_only=True)
    """More zips or folders, each by the absolute path where the program sees it; later ones cover earlier ones."""

    def __post_init__(self) -> None:
        super(Task, self).__post_init__()
        if isinstance(self.args, str | bytes):
            raise UsageError(f"args is {self.args!r}, it must be a list: [{self.args!r}]")
        if not isinstance(self.binary, str | bytes | os.PathLike):
            raise UsageError(f"binary is {type(self.binary).__name__}: give a ref, an alias, a path or bytes")
        if not (self.binary if isinstance(self.binary, bytes) else os.fspath(self.binary)):
            raise UsageError("binary is empty: give a ref, an alias or a path")
        if not isinstance(self.roots, Mapping):
            raise UsageError(f'roots is {type(self.roots).__name__}, it must be a dict: {{"/data": "data.zip"}}')
        for path, source in self.roots.items():
            check_root(path, source)

    @property
    def argv(self) -> list[str]:
        """The program's name and its arguments."""
        name = self.program if self.program is not None else default_name(self.binary)
        return [name, *map(str, self.args)]


@dataclass(frozen=True, slots=True)
class PythonTask(Wishes):
    """Python for Pyodide: a script, or a pickled [function, args, kwargs]; exactly one of them."""

    script: str | None = None
    pickle: bytes | None = None
    packages: Sequence[str] = ()
    """What to install, as pip would name it."""
    shared: Sequence[str] = field(default=(), kw_only=True)
    """Refs of the blobs that the pickle names by persistent id; see docs/python.md."""
    python: str = field(default="", kw_only=True)
    """The Python whose bytecode the pickle holds, as "3.14"; "": it holds none."""
    network: bool = field(default=False, kw_only=True)
    """It may open connections, where the operator of the provider's broker allows that."""

    def __post_init__(self) -> None:
        super(PythonTask, self).__post_init__()
        if (self.script is None) == (self.pickle is None):
            raise UsageError("a PythonTask has either a script or a pickle")


def check_root(path: str, source: Source) -> None:
    """Raises UsageError when that can't be mounted there."""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise UsageError(f"a root can't be mounted at {path!r}: give an absolute path, as /data")
    if not isinstance(source, str | bytes | os.PathLike) or not source:
        raise UsageError(f"the root at {path} is {source!r}: give a ref, an alias, a zip or a folder")


AnyTask = Task | PythonTask


def default_name(binary: Source) -> str:
    """argv[0] of a binary: its file name; a ref and an alias are their own; "main.wasm" for bytes."""
    if isinstance(binary, bytes):
        return "main.wasm"
    text = os.fspath(binary)
    return text if text.startswith("sha256:") else os.path.basename(text) or text
