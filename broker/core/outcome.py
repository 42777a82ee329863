"""How a task can end. Pure data; the codes are Connect's, so that every door answers alike."""

from __future__ import annotations

from typing import Any, TypeAlias

from .value import value


@value
class Answered:
    """A provider answered; `answer` is the shell's own, `provider` and `attempt` say who and at which attempt."""

    answer: Any
    provider: str
    attempt: int


@value
class Denied:
    """No answer: `code` is canceled, deadline_exceeded, unavailable, resource_exhausted or internal."""

    code: str
    message: str
    retry_after: int = 0
    """Seconds after which asking again makes sense; 0: don't."""


Outcome: TypeAlias = Answered | Denied
