"""What a task writes while it runs, in pieces that add up to what its Result holds. Pure; standard library only.

Memory: at most `PENDING` bytes wait to be taken; what comes when it is full is given out at the end, out of the Result.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .result import Result

PENDING = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a task has written since the last chunk."""

    stdout: bytes = b""
    stderr: bytes = b""
    attempt: int = 1
    """Counts the task's starts: with a new number its output begins anew, what came under another one is void."""


class _Stream:
    """One stream of one attempt: what waits, how much was given out, and the digest of that."""

    def __init__(self) -> None:
        self.waiting = bytearray()
        self.given = 0
        self._digest = hashlib.sha256()

    def take(self) -> bytes:
        piece = bytes(self.waiting)
        self.waiting.clear()
        self.given += len(piece)
        self._digest.update(piece)
        return piece

    def began(self, whole: bytes) -> bool:
        """Whether all that was given out is how `whole` begins."""
        return hashlib.sha256(memoryview(whole)[: self.given]).digest() == self._digest.digest()


class Following:
    """Chunks of one task, over however many attempts it takes."""

    def __init__(self, pending: int = PENDING) -> None:
        self._pending = pending
        self._attempt = 0
        self._begin()

    def _begin(self) -> None:
        self._attempt += 1
        self._out, self._err = _Stream(), _Stream()
        self._full = False

    def sent(self) -> None:
        """The task was sent, for the first time or again: it starts from its beginning."""
        if self._out.given or self._err.given:
            self._begin()
        else:
            self._out.waiting.clear()
            self._err.waiting.clear()
            self._full = False

    def wrote(self, stdout: bytes, stderr: bytes) -> None:
        """The task has written this."""
        if self._full or len(self._out.waiting) + len(self._err.waiting) + len(stdout) + len(stderr) > self._pending:
            self._full = True
            return
        self._out.waiting += stdout
        self._err.waiting += stderr

    def take(self) -> Chunk | None:
        """All that waits; None: nothing."""
        if not self._out.waiting and not self._err.waiting:
            return None
        return Chunk(self._out.take(), self._err.take(), self._attempt)

    def rest(self, result: Result) -> Chunk | None:
        """What the Result holds beyond what was given out; all of it, as another attempt's, when that was something else.

        A result without a status holds no output: then it is what still waits.
        """
        if result.status is None:
            return self.take()
        if not (self._out.began(result.stdout) and self._err.began(result.stderr)):
            self._begin()
        stdout, stderr = result.stdout[self._out.given :], result.stderr[self._err.given :]
        return Chunk(stdout, stderr, self._attempt) if stdout or stderr else None


class Printed:
    """Chunks of several attempts as one stream each, for who can't take back: what was printed is not printed again.

    `differs` tells of the last call that this attempt began otherwise than what was printed: its output is given in full.
    """

    def __init__(self) -> None:
        self.differs = False
        self._attempt = 1
        self._streams = (_Line(), _Line())

    def take(self, chunk: Chunk) -> tuple[bytes, bytes]:
        """What of a chunk is to be printed: (stdout, stderr)."""
        if chunk.attempt != self._attempt:
            self._attempt = chunk.attempt
            for line in self._streams:
                line.rewind()
        pieces = tuple(line.take(content) for line, content in zip(self._streams, (chunk.stdout, chunk.stderr), strict=True))
        self.differs = any(line.differs for line in self._streams)
        return pieces[0], pieces[1]

    def end(self, result: Result) -> tuple[bytes, bytes]:
        """What is left to print when all chunks were taken: of an attempt that wrote less than was printed."""
        if result.status is None:
            return b"", b""
        pieces = tuple(line.end() for line in self._streams)
        self.differs = any(line.differs for line in self._streams)
        return pieces[0], pieces[1]


class _Line:
    """One stream as it was printed: its length and digest, and what of a new attempt was compared with it."""

    def __init__(self) -> None:
        self.differs = False
        self._printed = 0
        self._digest = hashlib.sha256()
        self._held: bytearray | None = None
        """The beginning of a new attempt, until it is as long as what was printed."""

    def rewind(self) -> None:
        self._held = bytearray()

    def take(self, content: bytes) -> bytes:
        self.differs = False
        if self._held is not None:
            self._held += content
            if len(self._held) < self._printed:
                return b""
            whole, self._held = bytes(self._held), None
            self.differs = hashlib.sha256(whole[: self._printed]).digest() != self._digest.digest()
            if self.differs:
                self._printed, self._digest = 0, hashlib.sha256()
            content = whole[self._printed :]
        self._printed += len(content)
        self._digest.update(content)
        return content

    def end(self) -> bytes:
        held, self._held = self._held, None
        self.differs = held is not None and self._printed > 0
        return bytes(held or b"") if self.differs else b""
