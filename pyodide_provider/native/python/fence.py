"""A fence of the kernel's around a process: once it is closed, no system calls pass but those that computing needs.

It is seccomp with a listener, which needs no rights. What is on the list passes always. All else waits for the listener: we say
yes until the process makes the call that asks us to close, and then close the listener, whereupon the kernel refuses all such
calls (ENOSYS) for good. So what starts a process is free, and what it runs later can open, connect, start and signal nothing.

Standard library only. Source: linux/seccomp.h, linux/filter.h, the kernel's userspace-api/seccomp_filter.
"""

from __future__ import annotations

import fcntl
import os
import platform
import select
import struct

from ...errors import UsageError

CALLS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "poll": 7, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
            "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "readv": 19, "writev": 20, "sched_yield": 24,
            "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "sendmsg": 46, "exit": 60, "gettimeofday": 96,
            "getrusage": 98, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219,
            "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232,
            "epoll_ctl": 233, "ppoll": 271, "epoll_pwait": 281, "getrandom": 318, "membarrier": 324, "pkey_mprotect": 329,
            "getpriority": 140, "set_robust_list": 273, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "epoll_ctl": 21, "epoll_pwait": 22, "close": 57, "read": 63, "write": 64, "readv": 65, "writev": 66, "ppoll": 73,
            "exit": 93, "exit_group": 94, "futex": 98, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114,
            "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134,
            "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178,
            "sendmsg": 211, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233,
            "getrandom": 278, "membarrier": 283, "pkey_mprotect": 288, "getpriority": 141,
            "set_robust_list": 99, "rseq": 293,
        },
    ),
}  # fmt: skip
"""By machine: its audit architecture, and the calls that pass. By sendmsg launch.py hands us the listener."""
CLOSE = "getpriority"
"""The call that asks us to close: one that nothing else makes. It is the only one of the list that does not pass."""

IO_URING = range(425, 428)
"""Setting up, entering, registering; the same everywhere. Never allowed: what is asked for through rings passes no filter, and
libuv does without when it is refused from the start."""

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ASK, REFUSE, KILL = 0x7FFF0000, 0x7FC00000, 0x00050000, 0x80000000
ENOSYS = 38
X32 = 0x40000000
"""From here on numbers are those of another calling convention."""

RECEIVE, ANSWER = 0xC0502100, 0xC0182101
ASKED = struct.Struct("<QIIiIQ48x")
"""struct seccomp_notif: id, pid, flags; of the call: number, architecture, address, arguments."""
ANSWERED = struct.Struct("<QqiI")
GO_ON = 1
SECONDS = 60.0
"""That a process may take until it asks us to close."""


def program() -> bytes:
    """The filter, as an array of struct sock_filter. Raises UsageError where the machine is of a kind we don't know."""
    machine = platform.machine()
    if machine not in CALLS:
        raise UsageError(f"interpreters can't be fenced in on this kind of machine: {machine}")
    arch, calls = CALLS[machine]
    passing = [number for name, number in sorted(calls.items()) if name != CLOSE]
    steps = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, REFUSE | ENOSYS),
        (AT_LEAST, 0, 2, IO_URING.start),
        (AT_LEAST, 1, 0, IO_URING.stop),
        (RETURN, 0, 0, REFUSE | ENOSYS),
        *((EQUAL, len(passing) - place, 0, number) for place, number in enumerate(passing)),
        (RETURN, 0, 0, ASK),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def close_when_asked(listener: int) -> bool:
    """Let all calls pass until the process asks us to close; closes the listener then, or when the process ends.

    Blocks. Gives whether it has asked.
    """
    number = CALLS[platform.machine()][1][CLOSE]
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    try:
        while (ready := poll.poll(SECONDS * 1000)) and ready[0][1] & select.POLLIN:
            asked = bytearray(ASKED.size)
            try:
                fcntl.ioctl(listener, RECEIVE, asked, True)
                found = ASKED.unpack(asked)
                if found[3] == number:
                    return True
                fcntl.ioctl(listener, ANSWER, bytearray(ANSWERED.pack(found[0], 0, 0, GO_ON)), True)
            except (FileNotFoundError, InterruptedError):
                continue  # who asked is gone, or will ask again
        return False
    finally:
        os.close(listener)
