"""wasimoff: run WebAssembly on whoever lends a computer. Clients for programs; `wasimoff --help` is for the shell.

Everything is imported when it is first used: `import wasimoff` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .async_executor import AsyncExecutor
    from .client import AsyncClient
    from .errors import (
        AccessDenied,
        ArchiveError,
        BrokerError,
        BrokerUnavailable,
        NotFound,
        QueueFull,
        RemoteError,
        TaskFailed,
        TaskRejected,
        TaskTimeout,
        UntrustedResult,
        UsageError,
        WasimoffError,
    )
    from .executor import Executor
    from .following import Chunk
    from .limits import Limits
    from .result import Result, TraceEvent
    from .status import Provider, Status
    from .sync import Client
    from .task import PythonTask, Task
    from .usage import Usage

__all__ = [
    "AccessDenied",
    "ArchiveError",
    "AsyncClient",
    "AsyncExecutor",
    "BrokerError",
    "BrokerUnavailable",
    "Chunk",
    "Client",
    "Executor",
    "Limits",
    "NotFound",
    "Provider",
    "PythonTask",
    "QueueFull",
    "RemoteError",
    "Result",
    "Status",
    "Task",
    "TaskFailed",
    "TaskRejected",
    "TaskTimeout",
    "TraceEvent",
    "UntrustedResult",
    "Usage",
    "UsageError",
    "WasimoffError",
]

_MODULES = {
    "AsyncClient": "client",
    "Chunk": "following",
    "AsyncExecutor": "async_executor",
    "Client": "sync",
    "Executor": "executor",
    "Limits": "limits",
    "Provider": "status",
    "PythonTask": "task",
    "Result": "result",
    "Status": "status",
    "Task": "task",
    "TraceEvent": "result",
    "Usage": "usage",
}
"""Where each name is; all others of `__all__` are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
