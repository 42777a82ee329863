"""What a run may use, how a worker that dies of a limit tells which, what the kernel holds it to. Standard library only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..core.run import Limits

MEMORY = 4 << 30
"""Default of `limits.memory`: bytes of linear memory, all that 32 bits can address."""
OUTPUT = 64 << 20
"""Default of `limits.output`: bytes of stdout and stderr together."""
FILES = 512 << 20
"""Default of `limits.files`: bytes of all files that a program writes; also of all that is unpacked for it."""
THREADS = 64
"""Default of `limits.threads`: threads of a program that run at once, the first one included."""
MAX_THREADS = 256
"""What a program may ask of them."""
MAX_WRITTEN = 65_536
"""Files and folders that a run may have made, at a time."""
MAX_DEPTH = 256
"""Folders inside each other."""

OUTPUT_EXIT, FILES_EXIT, COUNT_EXIT = 101, 102, 103
"""With these a worker ends itself in the middle of a run that is over a limit."""

PR_SET_PDEATHSIG = 1
_NONE = resource.RLIM_INFINITY


def effective(given: Limits, output: int, files: int) -> Limits:
    """The limits of one run; `output` and `files` are the slot's own."""
    threads = min(given.threads or THREADS, MAX_THREADS)
    return Limits(given.wall, given.memory or MEMORY, given.output or output, given.files or files, threads)


def output_text(limits: Limits) -> str:
    return f"output limit exceeded: more than {limits.output} bytes"


def files_text(limits: Limits) -> str:
    return f"files limit exceeded: more than {limits.files} bytes"


def count_text() -> str:
    return f"files limit exceeded: more than {MAX_WRITTEN} new files, or {MAX_DEPTH} folders inside each other"


def threads_text(limits: Limits) -> str:
    return f"threads limit exceeded: more than {limits.threads}"


def memory_text(used: int, limits: Limits, stopped: str) -> str:
    return f"memory limit exceeded: {_mebibytes(used)} of at most {_mebibytes(limits.memory)} {stopped}"


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"


def death_text(code: int, output: int, limits: Limits) -> str:
    """Of which limit a worker died, or "": by its exit code, the bytes of its larger stream, and its run's limits."""
    if code == OUTPUT_EXIT or (code == -signal.SIGXFSZ and output > limits.output):
        return output_text(limits)
    if code == FILES_EXIT or code == -signal.SIGXFSZ:
        return files_text(limits)
    return count_text() if code == COUNT_EXIT else ""


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however it ends. Ends at once when it already has."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def no_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def first_to_go() -> None:
    """When the machine runs out of memory it is a worker that is killed, which is replaced, and not its parent."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")


class FileSize:
    """A write beyond kills the worker (SIGXFSZ); who watches it tells the limit. Covers stdout and stderr, too."""

    def __init__(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        self._limit = _NONE

    def hold(self, limits: Limits) -> None:
        """To the larger of the two limits: the kernel has one for all files."""
        # One more, so that a stream which is stopped by it is over its own limit.
        limit = max(limits.files, limits.output + 1)
        if limit != self._limit:
            self._limit = limit
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, _NONE))


@contextmanager
def any_file_size() -> Iterator[None]:
    """For our own files, between runs."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_NONE, _NONE))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
