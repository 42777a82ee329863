"""What the kernel holds a worker to. Standard library only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OUTPUT = 64 << 20
"""Default of `limits.output`: bytes of stdout and stderr together."""
FILES = 512 << 20
"""Default of `limits.files`: bytes of one file that a program writes, and of an unpacked rootfs."""

PR_SET_PDEATHSIG = 1
_NONE = resource.RLIM_INFINITY


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


def limit_file_size(limit: int) -> None:
    """A write beyond kills the worker (SIGXFSZ); who watches it tells the limit. Covers stdout and stderr, too."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
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
