"""Becomes an interpreter's process: fences itself in, hands the fence's listener to our parent, turns into Node.

Started as a script of its own by `python -I -S`, which takes a tenth of what Node does: imports nothing of ours.
Arguments: the parent's process id, the channel's descriptor, the filter in hexadecimal, and what to become.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from _socket import SCM_RIGHTS, SOL_SOCKET, socket  # `socket` and `signal` take as long to import as all else here

IGNORED = 1
SIGINT, SIGKILL, SIGTERM, SIGXFSZ = 2, 9, 15, 25
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP = {"x86_64": 317, "aarch64": 277}
SET_MODE_FILTER, NEW_LISTENER = 1, 8
FIRST_TO_GO = "900"
"""When the machine runs out of memory."""
MAX_ERRORS = 1 << 20
ENVIRON = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""All there is: large pieces of memory in large pages, where the C library knows how. A third of what a start spends in
the kernel is for pages of 4 KiB."""


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main(parent: str, channel: str, program: str, *command: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        return
    # A terminal's Ctrl-C and a service manager's SIGTERM are for the parent. Too large a file is an error like others.
    for number in (SIGINT, SIGTERM, SIGXFSZ):
        libc.signal(number, ctypes.c_void_p(IGNORED))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Of files it has only what it says of its own errors.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_ERRORS, MAX_ERRORS))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(FIRST_TO_GO)
    except OSError:
        pass
    steps = bytes.fromhex(program)
    filter = Program(len(steps) // 8, steps)
    ours = socket(fileno=int(channel))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "new rights can't be given up")
    seccomp = SECCOMP[os.uname().machine]
    listener = libc.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(filter))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "the kernel has no fence (seccomp with a listener) for us")
    # Until our parent has it, nothing passes but what is on the list.
    ours.sendmsg([b"F"], [(SOL_SOCKET, SCM_RIGHTS, struct.pack("i", listener))])
    os.execve(command[0], command, ENVIRON)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"{error.strerror}: errno {error.errno}")
