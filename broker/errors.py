"""Everything the broker raises on purpose. Imports nothing.

BrokerError
├── UsageError            the operator's: a setting that can't be used (exit code 2)
└── Refused               the client's: a request that is not served, with a Connect code
    ├── UnsupportedMedia  bytes that are neither a wasm module nor a zip
    ├── TooLarge          more bytes than the operator allows in one piece
    ├── TooSlow           a body that stopped arriving
    └── StorageFull       no room, and nothing that may be evicted
"""

from __future__ import annotations

HTTP_STATUS: dict[str, int] = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}
"""Connect's codes and their HTTP status (Connect protocol, unary error responses)."""


class BrokerError(Exception):
    """Anything below; its text is for people."""


class UsageError(BrokerError):
    """A setting or a combination of settings that can't be used: one sentence that names it."""


class Refused(BrokerError):
    """A request that is not served: `code` is Connect's, `retry_after` seconds (0: asking again is no use)."""

    status: int | None = None
    """HTTP status on plain routes where it differs from the code's own; Connect routes always use the table."""

    def __init__(self, code: str, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def http_status(self) -> int:
        return self.status or HTTP_STATUS.get(self.code, 500)


class UnsupportedMedia(Refused):
    status = 415

    def __init__(self, message: str) -> None:
        super().__init__("invalid_argument", message)


class TooLarge(Refused):
    status = 413

    def __init__(self, message: str) -> None:
        super().__init__("resource_exhausted", message)


class TooSlow(Refused):
    status = 408

    def __init__(self, message: str) -> None:
        super().__init__("deadline_exceeded", message)


class StorageFull(Refused):
    status = 507

    def __init__(self, message: str) -> None:
        super().__init__("resource_exhausted", message)
