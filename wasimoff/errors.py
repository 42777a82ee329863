"""Errors of the client. Standard library only.

WasimoffError
├── UsageError             what the caller asked can't be; the message says what to do instead
├── BrokerUnavailable      the broker can't be reached, or was lost and did not come back
├── BrokerError            the broker answered with an error: `code` is Connect's
│   ├── TaskRejected       it takes no such task now: nobody is free, or it is shutting down
│   │   └── QueueFull      … because its queue is full
│   ├── NotFound           it has no file of that ref or alias
│   └── AccessDenied       it does not let us
├── TaskTimeout            the caller's own `timeout` passed; the task was cancelled (also a TimeoutError)
├── TaskFailed             a task came to no answer; raised by `Result.check()` and the Executor
├── RemoteError            a function raised elsewhere what can't be made here: its name, and as __cause__ the traceback
├── UntrustedResult        the answer to a function holds more than plain data; the message says how to allow it
└── ArchiveError           a zip that can't be unpacked safely
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import Result


class WasimoffError(Exception):
    """Base of all errors raised by this package."""


class UsageError(WasimoffError):
    """The caller asked for something that can't be; the message says what to do instead."""


class BrokerUnavailable(WasimoffError):
    """No broker there, or it went away and did not come back in time."""


class BrokerError(WasimoffError):
    """The broker answered with an error. `code` is one of Connect's, `retry_after` seconds or None."""

    def __init__(self, message: str, code: str = "unknown", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class TaskRejected(BrokerError):
    """The task was not taken; later it may be."""


class QueueFull(TaskRejected):
    """Too much waits at the broker already."""


class NotFound(BrokerError):
    """No such ref, alias or route."""


class AccessDenied(BrokerError):
    """Not allowed, or not known who asks."""


class TaskTimeout(WasimoffError, TimeoutError):
    """No answer within the caller's own `timeout`."""


class TaskFailed(WasimoffError):
    """A task failed, and the caller wanted that as an exception; `result` is all that is known of it."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class RemoteError(WasimoffError):
    """A function raised an exception that can't be made here; the message is its type and words."""


class UntrustedResult(WasimoffError):
    """An answer holds what could run code here."""


class ArchiveError(WasimoffError):
    """A zip is broken, too large, or would write outside its folder."""


BY_CODE: dict[str, type[BrokerError]] = {
    "unavailable": TaskRejected,
    "resource_exhausted": QueueFull,
    "not_found": NotFound,
    "unauthenticated": AccessDenied,
    "permission_denied": AccessDenied,
}
CODES = frozenset(
    {"canceled", "unknown", "invalid_argument", "deadline_exceeded", "already_exists", "failed_precondition", "aborted"}
    | {"out_of_range", "unimplemented", "internal", "data_loss"}
    | set(BY_CODE)
)
"""Connect's error codes (connectrpc.com, Protocol Reference)."""

_RETRY = re.compile(r"retry after (\d{1,6}(?:\.\d{1,3})?) ?s")


def broker_error(code: str, message: str, retry_after: float | None = None) -> BrokerError:
    """The error of that code, as the class callers can catch; what is too large is no QueueFull: waiting won't help."""
    known = code if code in CODES else "unknown"
    cls = BrokerError if known == "resource_exhausted" and retry_after is None else BY_CODE.get(known, BrokerError)
    return cls(message or f"the broker says {code}", known, retry_after)


def from_text(text: str) -> BrokerError:
    """The error in an Envelope: "code: message" when the broker gives a code, any other text is "unknown".

    There is no field for `retry_after`: it is taken from the words "retry after N s", and is 1 for "try again" and
    for every resource_exhausted (a message that is too large ends the connection instead).
    """
    code, colon, message = text.partition(": ")
    if not colon or code not in CODES:
        return broker_error("unknown", text)
    words = _RETRY.search(message)
    if words:
        return broker_error(code, message, float(words.group(1)))
    later = code == "resource_exhausted" or "try again" in message
    return broker_error(code, message, 1.0 if later else None)
