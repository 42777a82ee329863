"""Exit codes of the command, and every error as one line of words. Standard library and errors only."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .errors import AccessDenied, ArchiveError, BrokerError, BrokerUnavailable, TaskTimeout, UsageError, WasimoffError

if TYPE_CHECKING:
    from .result import Result

FAILED = 1
"""A job had tasks that failed."""
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
NO_STATUS = 5
"""The task came to no exit code: a trap, a limit, a missing file, lost too often."""
CANT_WRITE = 6
"""The answer is there and could not be written or unpacked."""
BUG = 70
TIMEOUT = 124
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

MEANINGS = {
    0: "all went well",
    FAILED: "`job`, `map`: some tasks failed",
    USAGE: "something is wrong with the command line or a file it names",
    UNREACHABLE: "the broker can't be reached, or was lost",
    REFUSED: "the broker refused: unknown file, queue full, nobody free, not allowed …",
    NO_STATUS: "the task came to no exit code: trap, limit, lost too often …",
    CANT_WRITE: "the answer came, but it can't be written or unpacked here",
    BUG: "a fault of this program (WASIMOFF_DEBUG=1 shows where)",
    TIMEOUT: "deadline or timeout passed",
    INTERRUPTED: "Ctrl-C; the task was cancelled",
    BROKEN_PIPE: "whoever read the output went away",
    TERMINATED: "SIGTERM; the task was cancelled",
}
"""What the exit codes mean, unless the code is that of the program that was run."""


def of_error(error: WasimoffError) -> int:
    """The exit code of an error."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, BrokerUnavailable):
        return UNREACHABLE
    if isinstance(error, TaskTimeout):
        return TIMEOUT
    if isinstance(error, ArchiveError):
        return CANT_WRITE
    return REFUSED if isinstance(error, BrokerError | AccessDenied) else FAILED


def of_result(result: Result) -> int:
    """The exit code of a task: its own when it has one."""
    if result.status is not None and not result.error:
        return result.status & 0xFF if not 0 <= result.status <= 255 else result.status
    return TIMEOUT if result.code == "deadline_exceeded" else NO_STATUS


def clean(text: str) -> str:
    """Text of strangers, harmless to a terminal: control characters but tab and newline are replaced."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def say(text: str) -> None:
    """One message on stderr, in the program's name."""
    try:
        print(f"wasimoff: {clean(text)}", file=sys.stderr)
    except OSError:
        silence()


def silence() -> None:
    """Nobody reads our output any more: keep the interpreter from complaining about it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
