"""Cases at the limits of one run, and beyond them; and of several roots. Pure data."""

from __future__ import annotations

from pyodide_provider.core.run import NO_LIMITS, Limits

from . import programs as p
from . import zips as z
from .bombs import BOMBS, MIB
from .case import Case

NOOP, CALLS, GROW, BIGOUT = (p.app(f"testing/{name}") for name in ("noop", "calls", "grow", "bigout"))


def calls(name: str, *lines: str, limits: Limits = NO_LIMITS, roots: tuple[tuple[str, bytes], ...] = ()) -> Case:
    """A transcript in place: `COMMAND => RESULT`."""
    said = "".join(f"{line}\n" for line in lines).encode()
    return Case(name, CALLS, ("calls", *(line.split(" => ")[0] for line in lines)), limits=limits, roots=roots, stdout=said)


def after(name: str) -> Case:
    return Case(f"the slot works after {name}", NOOP)


BOUNDS = [
    *(
        case
        for name, (bomb, limits, error) in BOMBS.items()
        for case in (Case(f"a bomb: {name}", bomb, limits=limits, error=error), after(name))
    ),
    Case(
        "output as long as its limit", BIGOUT, ("bigout", "64"), limits=Limits(output=64), stdout=b"0" * 16 + b"." * 47 + b"\n"
    ),
    Case(
        "output a byte longer",
        BIGOUT,
        ("bigout", "65"),
        limits=Limits(output=64),
        error="output limit exceeded: more than 64 bytes",
    ),
    Case("memory below its limit", GROW, ("grow", "10"), limits=Limits(memory=12 * MIB), stdout=b"grew 10 MiB\n"),
    Case(
        "memory that is refused",
        GROW,
        ("grow", "20"),
        limits=Limits(memory=12 * MIB),
        status=1,
        stderr=b"refused at 11 MiB\n",
    ),
    Case(
        "a memory that is too large from the start",
        p.wat('(module (memory (export "memory") 40) (func (export "_start")))'),
        limits=Limits(memory=MIB),
        error="memory limit exceeded",
    ),
    Case(
        "a memory that may become larger",
        p.wat('(module (memory (export "memory") 1 400) (func (export "_start")))'),
        limits=Limits(memory=MIB),
    ),
    calls(
        "files up to their limit",
        "path_open 3 f creat read write as f => SUCCESS",
        "fd_filestat_set_size f 1000000 => SUCCESS",
        "fd_filestat_get f => SUCCESS regular_file links 1 size 1000000",
        limits=Limits(files=MIB),
    ),
    Case(
        "a file that is set too long",
        CALLS,
        ("calls", "path_open 3 f creat read write as f", "fd_filestat_set_size f 2000000"),
        limits=Limits(files=MIB),
        error="files limit exceeded: more than 1048576 bytes",
    ),
    Case(
        "a byte far away",
        CALLS,
        ("calls", "path_open 3 f creat read write as f", "fd_pwrite f x 2000000"),
        limits=Limits(files=MIB),
        error="files limit exceeded: more than 1048576 bytes",
    ),
    after("limits"),
    calls(
        "several roots",
        "list 3 1000 => SUCCESS .:directory ..:directory data:directory more:directory",
        "path_open 3 data/a read as f => SUCCESS",
        "fd_read f 10 => SUCCESS bytes 3 one",
        "path_open 3 more/deep/b read as g => SUCCESS",
        "fd_read g 10 => SUCCESS bytes 3 two",
        roots=(("/data", z.make_zip({"a": b"one"})), ("/more/deep", z.make_zip({"b": b"two"}))),
    ),
    calls(
        "later roots cover earlier ones",
        "path_open 3 data/a read as f => SUCCESS",
        "fd_read f 10 => SUCCESS bytes 3 new",
        "path_filestat_get 3 data/b => SUCCESS regular_file links 1 size 4",
        roots=(("/data", z.make_zip({"a": b"old", "b": b"kept"})), ("/data", z.make_zip({"a": b"new"}))),
    ),
    calls(
        "a root is written to",
        "path_open 3 data/a write as f => SUCCESS",
        "fd_write f XX => SUCCESS bytes 2",
        "path_open 3 data/c creat write => SUCCESS",
        "path_rename 3 data/c 3 c => SUCCESS",
        roots=(("/data", z.make_zip({"a": b"one"})),),
    ),
    calls(
        "and the next run has it unchanged",
        "path_open 3 data/a read as f => SUCCESS",
        "fd_read f 10 => SUCCESS bytes 3 one",
        "list 3 1000 => SUCCESS .:directory ..:directory data:directory",
        roots=(("/data", z.make_zip({"a": b"one"})),),
    ),
    Case("a root that is no zip", NOOP, roots=(("/data", b"something else"),), error="root at /data: not a zip archive"),
]
