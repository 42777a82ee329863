"""The JavaScript objects that the tab gives us (static/js/provider/host.js), as types. Imports nothing of ours.

Strings and numbers cross as they are; functions that we hand over must be proxies that live as long as they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class JsBytes(Protocol):
    """A Uint8Array."""

    def to_bytes(self) -> bytes: ...

    def assign(self, data: bytes) -> None: ...


class JsPool(Protocol):
    def listen(self, heard: Callable[[int, str, JsBytes | None], None], lost: Callable[[int, str], None], /) -> None: ...

    def start(self, slot: int, header: str, /) -> None: ...

    def stop(self, slot: int, /) -> None: ...

    def post(self, slot: int, header: str, body: JsBytes | None = None, /) -> None: ...

    def open(self, slot: int, key: int, room: int, /) -> None: ...

    def slept(self, slot: int, /) -> float: ...

    def put(self, slot: int, key: int, data: JsBytes, end: bool, /) -> None: ...


class JsInterpreters(Protocol):
    def listen(self, heard: Callable[[int, str, JsBytes | None], None], /) -> None: ...

    def attend(
        self, handed: Callable[[int, bool], None], returned: Callable[[int], None], lost: Callable[[int], None], /
    ) -> None: ...

    def start(self, number: int, kit: str, /) -> None: ...

    def drop(self, number: int, /) -> None: ...

    def stop(self, slot: int, /) -> None: ...

    def post(self, slot: int, number: int, equipped: bool, header: str, body: JsBytes, /) -> object: ...


class JsSocket(Protocol):
    def listen(self, opened: Callable[[], None], frame: Callable[[JsBytes], None], lost: Callable[[str], None], /) -> None: ...

    def open(self) -> None: ...

    def send(self, frame: JsBytes, /) -> None: ...

    def unsent(self) -> int: ...

    def close(self, code: int, reason: str, /) -> None: ...


class JsTimers(Protocol):
    def listen(self, due: Callable[[int], None], /) -> None: ...

    def after(self, timer: int, milliseconds: float, /) -> None: ...


class JsPage(Protocol):
    def show(self, status: str, /) -> None: ...

    def log(self, line: str, /) -> None: ...

    def finished(self) -> None: ...


class JsHost(Protocol):
    pool: JsPool
    interpreters: JsInterpreters
    socket: JsSocket
    timers: JsTimers
    page: JsPage
    isolated: bool
    """Whether workers share memory with us: what one of them reads may come while it runs."""

    def room(self, length: int, /) -> JsBytes: ...


class Keep(Protocol):
    """Makes a function callable from JavaScript and keeps it so: `main.keep`."""

    def __call__(self, function: F, /) -> F: ...
