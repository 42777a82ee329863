"""Which requests wait to be sent and which for an answer: pure, no IO, no clock. Standard library only.

A call is sent again when the connection is lost before its answer (tasks may be repeated), a limited number of times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class Call(Generic[Q, A]):
    """One request; `answer` is where the shell wants the answer, the core only carries it."""

    request: Q
    id: str
    """Of the task, to cancel it."""
    answer: A
    sequence: int = 0
    """Of the envelope that carries it now; 0: it waits to be sent."""
    sent: int = 0
    """How many times."""
    reasons: list[str] = field(default_factory=list)
    """Why each time came to nothing."""
    withdrawn: bool = False
    once: bool = False
    """Never sent again: it was talked to."""


class Calls(Generic[Q, A]):
    """All calls of one link to a peer, over however many connections it takes."""

    def __init__(self, max_sends: int = 5) -> None:
        self.max_sends = max_sends
        self.strays = 0
        """Answers to nothing that is waited for: late ones after a cancel, or invented; ignored."""
        self._waiting: deque[Call[Q, A]] = deque()
        self._sent: dict[int, Call[Q, A]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        """How many are not answered yet (withdrawn ones that still stand in line count)."""
        return len(self._waiting) + len(self._sent)

    @property
    def waiting(self) -> int:
        """How many stand in line to be sent."""
        return len(self._waiting)

    def add(self, call: Call[Q, A]) -> None:
        self._waiting.append(call)

    def next_sequence(self) -> int:
        """A number for an envelope; counted per connection."""
        self._sequence += 1
        return self._sequence

    def next(self) -> Call[Q, A] | None:
        """The call to send now, its sequence set; None: nothing waits."""
        while self._waiting:
            call = self._waiting.popleft()
            if not call.withdrawn:
                call.sent += 1
                call.sequence = self.next_sequence()
                self._sent[call.sequence] = call
                return call
        return None

    def sent(self) -> Collection[Call[Q, A]]:
        """Those on their way."""
        return self._sent.values()

    def of(self, sequence: int) -> Call[Q, A] | None:
        """The call on its way that has this sequence."""
        return self._sent.get(sequence)

    def answered(self, sequence: int) -> Call[Q, A] | None:
        """The call that an answer is for; None: nobody waits for it."""
        call = self._sent.pop(sequence, None)
        if call is None:
            self.strays += 1
        return call

    def withdraw(self, call: Call[Q, A]) -> bool:
        """Nobody waits for this call any more; gives whether the peer has it and must be told."""
        call.withdrawn = True
        if self._sent.get(call.sequence) is not call:
            return False
        del self._sent[call.sequence]
        return True

    def lost(self, reason: str) -> list[Call[Q, A]]:
        """The connection is gone: what was sent stands first in line again, but for those given back, given up."""
        given_up: list[Call[Q, A]] = []
        again: list[Call[Q, A]] = []
        for call in self._sent.values():
            call.sequence = 0
            call.reasons.append(reason)
            (given_up if call.once or call.sent >= self.max_sends else again).append(call)
        self._sent.clear()
        self._waiting.extendleft(reversed(again))
        self._sequence = 0
        return given_up

    def clear(self) -> list[Call[Q, A]]:
        """Give up all of them."""
        calls = [call for call in (*self._sent.values(), *self._waiting) if not call.withdrawn]
        self._sent.clear()
        self._waiting.clear()
        return calls
