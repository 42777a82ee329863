"""What a task may use, and amounts as people write them: "2s", "64M". Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from .errors import UsageError

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,9})?|\.\d{1,9})\s*(ms|s|m|min|h)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)\s*(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
MAX_WALL = 10.0**9
MAX_BYTES = 2**63 - 1
MAX_THREADS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; None leaves it to the broker, whose operator may also allow less than is asked for."""

    wall: float | None = None
    """Seconds that the program runs, fetching and compiling apart."""
    memory: int | None = None
    """Bytes of its linear memory."""
    output: int | None = None
    """Bytes of stdout and stderr together."""
    files: int | None = None
    """Bytes in the files that it writes."""
    threads: int | None = None
    """Threads at once, the first one included."""

    def __post_init__(self) -> None:
        if self.wall is not None and not (_is_number(self.wall, float) and 0.001 <= self.wall <= MAX_WALL):
            raise UsageError(f"the limit of wall time is {self.wall!r}: it is a number of seconds, 0.001 at least")
        for name in ("memory", "output", "files"):
            size = getattr(self, name)
            if size is not None and not (_is_number(size) and 0 < size <= MAX_BYTES):
                raise UsageError(f"the limit of {name} is {size!r}: it is a whole number of bytes, more than 0")
        if self.threads is not None and not (_is_number(self.threads) and 0 < self.threads <= MAX_THREADS):
            raise UsageError(f"the limit of threads is {self.threads!r}: it is a whole number, 1 at least")

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return any(getattr(self, field.name) is not None for field in fields(self))


NO_LIMITS = Limits()


def limits(words: Mapping[str, str | float | None]) -> Limits:
    """Limits as people write them, {"wall": "2s", "memory": "64M"}; numbers are seconds, bytes. Raises UsageError."""
    values: dict[str, float | int] = {}
    for name, value in words.items():
        if value is None:
            continue
        if not isinstance(value, str):
            values[name] = value
        elif name == "wall":
            values[name] = duration(value)
        else:
            values[name] = count(value) if name == "threads" else size(value)
    return Limits(**values)  # type: ignore[arg-type]  # the class looks at them itself


def duration(text: str) -> float:
    """Seconds in "2", "2s", "500ms", "1.5m", "1h". Raises UsageError."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text[:40]!r} is no duration: write 2s, 500ms, 1.5m or 1h")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def size(text: str) -> int:
    """Bytes in "65536", "64K", "64M", "1.5GiB"; K is 1024. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text[:40]!r} is no size: write 65536, 64K, 64M or 1.5G (K is 1024)")
    return int(float(found[1]) * 1024 ** _POWERS[(found[2] or "").upper()]) if found[2] or "." in found[1] else int(found[1])


def count(text: str) -> int:
    """A whole number. Raises UsageError."""
    digits = text.strip()
    if not re.fullmatch(r"[0-9]{1,9}", digits):
        raise UsageError(f"{text[:40]!r} is no number of threads: write 4")
    return int(digits)


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, (int, *kinds)) and not isinstance(value, bool)
