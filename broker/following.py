"""What passes between a client and a run while it runs: output one way, input the other. Knows bytes only; both bounded."""

from __future__ import annotations

from collections.abc import Callable

from broker.core.task import Task

MAX_INPUT = 4 << 20
"""Bytes of input that a task's program has not read yet; and those kept, since another attempt needs all of it again."""
LOST = f"it would have to begin anew, but of more than {MAX_INPUT} bytes of input the beginning is not kept"


class Follower:
    """Passes a task's output on to `tell`, which says False when it can't take it: then no more is told, so that what was
    told is always the beginning of it. Another attempt begins anew: what was told already is left out.
    """

    __slots__ = ("_attempt", "_most", "_seen", "_tell", "over", "told")

    def __init__(self, tell: Callable[[bytes, bytes], bool], most: int) -> None:
        """`most` is the bytes that will be told, of stdout and stderr together."""
        self.told = [0, 0]
        """Bytes of stdout and of stderr."""
        self.over = False
        self._tell = tell
        self._most = most
        self._attempt = 0
        self._seen = [0, 0]

    def written(self, attempt: int, stdout: bytes, stderr: bytes) -> None:
        """A run has written this."""
        if self.over:
            return
        if attempt != self._attempt:
            self._attempt, self._seen = attempt, [0, 0]
        news = self._news(0, stdout), self._news(1, stderr)
        if not any(news):
            return
        if sum(self.told) + len(news[0]) + len(news[1]) > self._most or not self._tell(*news):
            self.over = True
            return
        self.told = [told + len(part) for told, part in zip(self.told, news, strict=True)]

    def _news(self, stream: int, part: bytes) -> bytes:
        known = max(0, self.told[stream] - self._seen[stream])
        self._seen[stream] += len(part)
        return part[known:]


class Feed:
    """Input on its way to a task, from before it runs until it ends: every attempt at it gets all from the beginning.

    `tell` hears how much of it some attempt has read, so that who sends need not be further ahead.
    """

    __slots__ = ("_kept", "_parts", "_send", "_tell", "ended", "over", "read", "size", "task")

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.task: Task | None = None
        self.ended = False
        self.over = False
        """More came than may be kept."""
        self.size = self.read = 0
        self._tell = tell
        self._kept = True
        """Whether `_parts` are all that came."""
        self._parts: list[bytes] = []
        self._send: Callable[[bytes, bool], None] | None = None

    def put(self, part: bytes, end: bool) -> bool:
        """More of it; False when that is more than may be kept. What comes after the end is nothing."""
        if self.ended:
            return True
        if self.over or self.size + len(part) - self.read > MAX_INPUT:
            self.over = True
            return False
        self.size += len(part)
        self.ended = end
        self._keep(part)
        if self._send is not None:
            self._send(part, end)
        return True

    @property
    def held(self) -> int:
        """Bytes of it in memory."""
        return self.size if self._kept else 0

    def _keep(self, part: bytes) -> None:
        if self.size > MAX_INPUT:
            self._kept = False
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def was_read(self, count: int) -> None:
        """An attempt has read so many bytes."""
        count = min(count, self.size)
        if count > self.read:
            self.read = count
            self._tell(count)

    def begin(self, send: Callable[[bytes, bool], None]) -> bool:
        """An attempt begins, and gets what there is and what will come through `send`; False when the beginning is not kept."""
        if not self._kept:
            return False
        self._send = send
        if self._parts or self.ended:
            self._parts = [b"".join(self._parts)]
            send(self._parts[0], self.ended)
        return True
