"""How requests reach the broker: a protocol that `websocket` and `connect` fulfil. Imports protobuf's base class."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.message import Message

from .live import Live


class Transport(Protocol):
    """Carries requests to one broker, on one event loop."""

    async def call(self, request: Message, task: str, live: Live | None = None) -> Message:
        """The response to a request about the task of that id; `live` hears what the task writes, where that can be told.

        Raises BrokerError (what the broker says) and BrokerUnavailable. Cancelling it cancels the task on the broker.
        """
        ...

    async def close(self) -> None: ...
