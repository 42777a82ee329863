"""What a run is made of and how it can end. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from .value import value


@value
class File:
    """Bytes by reference ("sha256:<64 hex>") or inline; exactly one is set."""

    ref: str = ""
    blob: bytes | None = None


@value
class Limits:
    """What a run may use; 0: the slot's own default. `wall` is seconds of running, fetching and compiling apart.

    `output` is bytes of stdout and stderr together, `files` bytes that the files hold which it wrote.
    """

    wall: float = 0.0
    memory: int = 0
    output: int = 0
    files: int = 0
    threads: int = 0


NO_LIMITS = Limits()


@value
class Params:
    """A WASI preview 1 program and what it is given. `args` is argv with the program's name first, `envs` are "K=V".

    `rootfs` is a zip mounted at "/", `roots` are more of them, each with its absolute path; the later cover the earlier.
    `follow`: tell what it writes while it runs. `by_reference`: what is large may come back as a File with a ref.
    `interactive`: more stdin comes while it runs (core/input.py).
    """

    binary: File
    args: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    stdin: bytes | File = b""
    rootfs: File | None = None
    artifacts: tuple[str, ...] = ()
    roots: tuple[tuple[str, File], ...] = ()
    limits: Limits = NO_LIMITS
    follow: bool = False
    by_reference: bool = False
    interactive: bool = False


@value
class PythonParams:
    """Python for an interpreter of its own, and what it is given: a script, or a pickled [function, args, kwargs].

    `packages` are requirements, `shared` the refs of blobs that the pickle names, `python` the version that it needs ("3.14",
    or "" for any). `rootfs` is a zip unpacked at /mnt, where the program starts; `artifacts` are paths below it or absolute.
    """

    script: str | None = None
    pickle: bytes | File = b""
    packages: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    stdin: bytes = b""
    rootfs: File | None = None
    artifacts: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    python: str = ""
    network: bool = False
    limits: Limits = NO_LIMITS
    follow: bool = False
    interactive: ClassVar[bool] = False


@dataclass(slots=True, eq=False)
class Run:
    """One attempt at a task. `sequence` is the broker's request that asked for it: the key on this link."""

    sequence: int
    task: str
    attempt: int
    params: Params | PythonParams


@value
class Exited:
    """The program ran and ended; `artifacts` is a zip or None. A File is one with a ref: kept by the broker."""

    status: int
    stdout: bytes | File = b""
    stderr: bytes | File = b""
    artifacts: bytes | File | None = None


@value
class Returned:
    """The Python came to its end: the pickled value (empty when it can't be pickled), and which Pyodide it was."""

    value: bytes
    stdout: bytes = b""
    stderr: bytes = b""
    artifacts: bytes | None = None
    version: str = ""


@value
class Failed:
    """The task's own fault (bad wasm, trap, missing blob, a limit): never tried again.

    `exception` is the pickled one that ended a Python task, when it can be pickled.
    """

    error: str
    exception: bytes = b""


@value
class Broken:
    """Something outside the task went wrong: it may be tried elsewhere."""

    error: str


Outcome: TypeAlias = Exited | Returned | Failed | Broken


@value
class Usage:
    """What a run used: seconds and bytes. `cpu` is that of all its threads, `memory` its linear memory at the peak.

    `bytes_out` is set when some of it went as a File.
    """

    cpu: float = 0.0
    memory: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    compile: float = 0.0
    cached: bool = False


@value
class Ended:
    """What a slot says of one run: its key there, how it ended, the seconds it ran (fetching and compiling apart)."""

    sequence: int
    outcome: Outcome
    seconds: float = 0.0
    usage: Usage | None = None
