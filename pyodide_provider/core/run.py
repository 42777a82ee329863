"""What a run is made of and how it can end. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class File:
    """Bytes by reference ("sha256:<64 hex>") or inline; exactly one is set."""

    ref: str = ""
    blob: bytes | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """A WASI preview 1 program and what it is given. `args` is argv with the program's name first, `envs` are "K=V"."""

    binary: File
    args: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    stdin: bytes = b""
    rootfs: File | None = None
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One attempt at a task. `sequence` is the broker's request that asked for it: the key on this link."""

    sequence: int
    task: str
    attempt: int
    params: Params


@dataclass(frozen=True, slots=True)
class Exited:
    """The program ran and ended; `artifacts` is a zip or None."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    artifacts: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The task's own fault (bad wasm, trap, missing blob, a limit): never tried again."""

    error: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Something outside the task went wrong: it may be tried elsewhere."""

    error: str


Outcome: TypeAlias = Exited | Failed | Broken


@dataclass(frozen=True, slots=True)
class Ended:
    """What a slot says of one run: its key there, how it ended, the seconds it took (fetching and compiling apart)."""

    sequence: int
    outcome: Outcome
    seconds: float = field(default=0.0)
