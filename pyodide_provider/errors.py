"""Errors of the provider. How a run ends is a value (`core.run.Outcome`); these unwind to one, inside a slot.

WireError (wire.errors)
├── PeerError     the broker broke the protocol
└── UsageError    what our caller asked can't be; for a person
RunError
├── TaskFault     the task's own fault: the run ends as Failed
└── HostFault     something outside the task: the run ends as Broken
"""

from __future__ import annotations

from .wire.errors import PeerError, UsageError, WireError

__all__ = ["HostFault", "PeerError", "RunError", "TaskFault", "UsageError", "WireError"]


class RunError(Exception):
    """Base of what ends a run before its program does; the message goes to the one who asked for it."""


class TaskFault(RunError):
    """Bad wasm, a missing blob, a trap, a limit: trying again elsewhere would not help."""


class HostFault(RunError):
    """No network, no disk, a broken cache: another provider may succeed."""
