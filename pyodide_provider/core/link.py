"""The link to the broker: when it is opened, closed and tried again. Pure."""

from __future__ import annotations

from collections.abc import Callable

from . import backoff
from .events import (
    ConnectWanted,
    DisconnectWanted,
    Event,
    LinkLost,
    LinkOpened,
    PeerFaulted,
    ReconnectDue,
)
from .instructions import CloseLink, Instruction, Note, OpenLink, Remind

IDLE, CONNECTING, CONNECTED, WAITING = "idle", "connecting", "connected", "waiting"

STEADY = 5.0
"""Seconds a link must have lived for the next back-off to start afresh."""

LEAVING = 1001
FAULTED = 1011

TABLE: dict[tuple[str, type[Event]], str] = {
    (IDLE, ConnectWanted): CONNECTING,
    (CONNECTING, LinkOpened): CONNECTED,
    (CONNECTING, LinkLost): WAITING,
    (CONNECTING, DisconnectWanted): IDLE,
    (CONNECTED, LinkLost): WAITING,
    (CONNECTED, PeerFaulted): WAITING,
    (CONNECTED, DisconnectWanted): IDLE,
    (WAITING, ConnectWanted): CONNECTING,
    (WAITING, ReconnectDue): CONNECTING,
    (WAITING, DisconnectWanted): IDLE,
}
"""(state, event) → state; what isn't here changes nothing."""


class Link:
    def __init__(self, jitter: Callable[[], float]) -> None:
        self.state = IDLE
        self.reason = ""
        """Why it is down, for people."""
        self._jitter = jitter
        self._tries = 0
        self._attempt = 0
        self._since = 0.0

    @property
    def up(self) -> bool:
        return self.state == CONNECTED

    def handle(self, event: Event, now: float, out: list[Instruction]) -> bool:
        """Take one step; true when the state changed."""
        target = TABLE.get((self.state, type(event)))
        if target is None or (isinstance(event, ReconnectDue) and event.attempt != self._attempt):
            return False
        before, self.state = self.state, target
        if target == CONNECTING:
            out.append(OpenLink())
        elif target == CONNECTED:
            self._since, self.reason = now, ""
            out.append(Note("connected to the broker"))
        elif target == WAITING:
            self._retreat(event, before, now, out)
        elif target == IDLE:
            self._leave(before, "disconnected", out)
        return True

    def close(self, reason: str, out: list[Instruction]) -> None:
        """Leave for good, from any state."""
        before, self.state = self.state, IDLE
        self._leave(before, reason, out)

    def _leave(self, before: str, reason: str, out: list[Instruction]) -> None:
        self.reason, self._tries = reason, 0
        if before in (CONNECTING, CONNECTED):
            out.append(CloseLink(LEAVING, reason))

    def _retreat(self, event: Event, before: str, now: float, out: list[Instruction]) -> None:
        assert isinstance(event, (LinkLost, PeerFaulted))
        self.reason = event.reason
        if isinstance(event, PeerFaulted):
            out.append(CloseLink(FAULTED, event.reason))
        steady = before == CONNECTED and now - self._since >= STEADY
        self._tries = 1 if steady else self._tries + 1
        self._attempt += 1
        delay = backoff.delay(self._tries, self._jitter())
        what = "lost the broker" if before == CONNECTED else "no connection to the broker"
        out.append(Note(f"{what}: {event.reason}; next try in {delay:.1f} s"))
        out.append(Remind(delay, ReconnectDue(self._attempt)))
